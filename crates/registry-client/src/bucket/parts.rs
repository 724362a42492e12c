//! Objects that are written part by part.

use std::time::SystemTime;

use content::rfc3339;

use super::ask::Ask;
use super::{Bucket, COPY, document};
use crate::error::RegistryError;
use crate::http::Method;

/// An object that is written part by part.
#[derive(Debug)]
pub struct Parts {
    key: String,
    id: String,
    /// What the store calls the parts that it has.
    tags: Vec<String>,
    size: u64,
}

/// An object that was begun and not completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Its key.
    pub key: String,
    /// When something of it was written last, by the store's clock.
    pub changed: SystemTime,
    id: String,
}

impl Bucket {
    /// Begins an object that is written part by part. Nothing is there before [`Bucket::complete`].
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn begin(&self, key: &str) -> Result<Parts, RegistryError> {
        let ask = Ask { query: &[("uploads", "")], body: Some(b""), ..Ask::new(Method::Post, key) };
        let text = self.ask(&ask, |answer| self.text(answer))?;
        let id = document::first(&text, "UploadId").ok_or_else(|| self.wrong("an upload", "it has no id"))?;
        Ok(Parts { key: key.to_owned(), id, tags: Vec::new(), size: 0 })
    }

    /// Writes the next part; all but the last have at least 5 MiB, and there are at most 10 000.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn part(&self, parts: &mut Parts, bytes: &[u8]) -> Result<(), RegistryError> {
        let number = (parts.tags.len() + 1).to_string();
        let query = [("partNumber", number.as_str()), ("uploadId", parts.id.as_str())];
        let answer = self.ask(&Ask { query: &query, body: Some(bytes), ..Ask::new(Method::Put, &parts.key) }, Ok)?;
        let tag = answer.head.header("etag").map(str::to_owned);
        answer.body.drain();
        parts.tags.push(tag.ok_or_else(|| self.wrong("a stored part", "it has no ETag"))?);
        parts.size += bytes.len() as u64;
        Ok(())
    }

    /// Makes an object of that size, which is in the store, the next parts.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn copy_parts(&self, from: &str, parts: &mut Parts, size: u64) -> Result<(), RegistryError> {
        let source = self.source(from);
        let mut start = 0;
        while start < size {
            let end = (start + COPY).min(size);
            let (number, range) = ((parts.tags.len() + 1).to_string(), format!("bytes={start}-{}", end - 1));
            let headers = [("x-amz-copy-source", source.as_str()), ("x-amz-copy-source-range", range.as_str())];
            let query = [("partNumber", number.as_str()), ("uploadId", parts.id.as_str())];
            let ask = Ask {
                query: &query,
                headers: &headers,
                body: Some(b""),
                is_long: true,
                ..Ask::new(Method::Put, &parts.key)
            };
            let text = self.ask(&ask, |answer| self.done(answer))?;
            let tag = document::first(&text, "ETag").ok_or_else(|| self.wrong("a copied part", "it has no ETag"))?;
            parts.tags.push(tag);
            parts.size += end - start;
            start = end;
        }
        Ok(())
    }

    /// Makes the parts an object.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn complete(&self, parts: &Parts) -> Result<(), RegistryError> {
        let one = |(tag, number): (&String, usize)| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>", tag.replace('"', "&quot;"))
        };
        let list: String = parts.tags.iter().zip(1..).map(one).collect();
        let body = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        let query = [("uploadId", parts.id.as_str())];
        let ask =
            Ask { query: &query, body: Some(body.as_bytes()), is_long: true, ..Ask::new(Method::Post, &parts.key) };
        match self.ask(&ask, |answer| self.done(answer)) {
            Ok(_) => Ok(()),
            // Where the answer to the first attempt was lost, the second finds nothing to be completed.
            Err(error) => match self.head(&parts.key) {
                Ok(Some(object)) if object.size == parts.size => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Throws the parts away.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn abort(&self, parts: &Parts) -> Result<(), RegistryError> {
        self.throw_away(&parts.key, &parts.id)
    }

    /// Throws away what was begun, perhaps by another process.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn give_up(&self, unfinished: &Unfinished) -> Result<(), RegistryError> {
        self.throw_away(&unfinished.key, &unfinished.id)
    }

    fn throw_away(&self, key: &str, id: &str) -> Result<(), RegistryError> {
        let ask = Ask { query: &[("uploadId", id)], ..Ask::new(Method::Delete, key) };
        self.find(&ask, Ok)?.into_iter().for_each(|answer| answer.body.drain());
        Ok(())
    }

    /// The objects below a prefix that were begun and not completed.
    ///
    /// # Errors
    /// When the store refuses or does not answer.
    pub fn unfinished(&self, below: &str) -> Result<Vec<Unfinished>, RegistryError> {
        let full = format!("{}{below}", self.prefix);
        let mut found = Vec::new();
        let mut next: Option<(String, String)> = None;
        loop {
            let mut query: Vec<(&str, &str)> = Vec::new();
            query.extend(next.as_ref().map(|(key, _)| ("key-marker", key.as_str())));
            query.push(("prefix", full.as_str()));
            query.extend(next.as_ref().map(|(_, id)| ("upload-id-marker", id.as_str())));
            query.push(("uploads", ""));
            let text = self.ask(&Ask { query: &query, ..Ask::new(Method::Get, "") }, |answer| self.text(answer))?;
            for entry in document::all(&text, "Upload") {
                let (Some(key), Some(id)) = (document::first(entry, "Key"), document::first(entry, "UploadId")) else {
                    continue;
                };
                let Some(key) = key.strip_prefix(&self.prefix).map(str::to_owned) else { continue };
                let begun = document::first(entry, "Initiated").and_then(|text| moment(&text));
                let begun = begun.ok_or_else(|| self.wrong("a list of uploads", "one has no date"))?;
                let changed = self.written(&key, &id)?.unwrap_or(begun).max(begun);
                found.push(Unfinished { key, changed, id });
            }
            let marker = |tag| document::first(&text, tag).filter(|marker| !marker.is_empty());
            next = match document::first(&text, "IsTruncated").as_deref() {
                Some("true") => marker("NextKeyMarker").zip(marker("NextUploadIdMarker")),
                _ => None,
            };
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// When the last part was written.
    fn written(&self, key: &str, id: &str) -> Result<Option<SystemTime>, RegistryError> {
        let mut newest = None;
        let mut next: Option<String> = None;
        loop {
            let mut query: Vec<(&str, &str)> = Vec::new();
            query.extend(next.as_deref().map(|next| ("part-number-marker", next)));
            query.push(("uploadId", id));
            let ask = Ask { query: &query, ..Ask::new(Method::Get, key) };
            // It may have been completed or thrown away since.
            let Some(text) = self.find(&ask, |answer| self.text(answer))? else { return Ok(newest) };
            let times = document::all(&text, "LastModified").into_iter().filter_map(moment);
            newest = times.fold(newest, |newest, time| newest.max(Some(time)));
            next = match document::first(&text, "IsTruncated").as_deref() {
                Some("true") => document::first(&text, "NextPartNumberMarker"),
                _ => return Ok(newest),
            };
            if next.is_none() {
                return Ok(newest);
            }
        }
    }
}

/// A time as these documents have it: with or without parts of a second.
fn moment(text: &str) -> Option<SystemTime> {
    rfc3339::parse(&format!("{}Z", text.get(..19)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_fractions() {
        let want = rfc3339::parse("2026-11-25T09:15:00Z");
        for text in ["2026-11-25T09:15:00Z", "2026-11-25T09:15:00.123Z", "2026-11-25T09:15:00.123456789Z"] {
            assert_eq!(moment(text), want, "{text}");
        }
        assert_eq!(moment("yesterday"), None);
    }
}
