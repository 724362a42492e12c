//! A request whose body is being sent.

use std::sync::Arc;
use std::time::Duration;

use super::answer::Answer;
use super::connection::Connection;
use super::pool::Pool;
use super::{HttpError, Length, Method, ended_early};

/// How long an answer is waited for that a broken request may have left behind.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A request whose head was sent.
pub(crate) struct Sending {
    /// None after it broke or was answered.
    connection: Option<Connection>,
    pool: Arc<Pool>,
    method: Method,
    length: Length,
    sent: u64,
}

impl Sending {
    pub(super) fn new(connection: Connection, pool: Arc<Pool>, method: Method, length: Length) -> Self {
        Self { connection: Some(connection), pool, method, length, sent: 0 }
    }

    /// Bytes that the body still wants; none if that is open.
    pub(crate) fn left(&self) -> Option<u64> {
        match self.length {
            Length::Known(length) => Some(length - self.sent),
            Length::Unknown => None,
        }
    }

    /// Sends bytes of the body, not more than are left of it. An answer means that the server does not want the rest.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<Option<Answer>, HttpError> {
        let Some(connection) = &mut self.connection else { return Err(HttpError::Io(ended_early())) };
        if bytes.is_empty() {
            return Ok(None);
        }
        if connection.has_answer() {
            return self.last_words(None).map(Some);
        }
        let written = match self.length {
            Length::Known(_) => connection.write(bytes),
            Length::Unknown => connection
                .write(format!("{:x}\r\n", bytes.len()).as_bytes())
                .and_then(|()| connection.write(bytes))
                .and_then(|()| connection.write(b"\r\n")),
        };
        match written {
            Ok(()) => {
                self.sent += bytes.len() as u64;
                Ok(None)
            }
            // Why the server hung up, it may have said.
            Err(error) => self.last_words(Some(error)).map(Some),
        }
    }

    fn last_words(&mut self, error: Option<HttpError>) -> Result<Answer, HttpError> {
        let Some(mut connection) = self.connection.take() else { return Err(HttpError::Io(ended_early())) };
        match (connection.read_head(LAST_WORDS), error) {
            (Ok(head), _) => Ok(Answer::new(self.method, head.closing(), connection, Arc::clone(&self.pool))),
            (Err(_), Some(error)) | (Err(error), None) => Err(error),
        }
    }

    /// Reads the answer when the body was sent.
    pub(crate) fn finish(mut self, wait: Duration) -> Result<Answer, HttpError> {
        let Some(mut connection) = self.connection.take() else { return Err(HttpError::Io(ended_early())) };
        if self.length == Length::Unknown {
            connection.write(b"0\r\n\r\n")?;
        }
        let head = connection.read_head(wait)?;
        Ok(Answer::new(self.method, head, connection, self.pool))
    }
}
