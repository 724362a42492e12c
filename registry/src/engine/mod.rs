//! The engine: connections of HTTP/1.1 on threads, without one thread for each connection.
//!
//! ```text
//! listeners ─▶ epoll ─▶ seated thread: read, answer, send ─▶ epoll
//!                           └─ long? it leaves its seat, another thread takes it
//! ```
//!
//! One epoll holds listeners and waiting connections; each event is delivered to one thread, which owns the connection
//! until it waits again. Chosen over an asynchronous runtime: files are sent by the kernel from a plain thread, disks
//! and upstreams may block, and nothing of it has to be written twice.

mod body;
mod connection;
mod head;
mod link;
mod pace;
mod reply;
mod seats;
mod table;

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use rustls::ServerConnection;

use crate::http::Peer;
use crate::listener::Listener;
use crate::service::Registry;
use crate::stop::Stop;
use connection::{Connection, Next, Workspace};
use link::Link;
use seats::{Seats, Turn};
use table::{Place, Table};

/// The event of the end.
const END: u64 = u64::MAX;
/// Events from here on are listeners'.
const LISTENERS: u64 = 1 << 40;
/// Connections accepted at a time.
const ACCEPTED: usize = 64;
/// How often late connections are looked for.
const ROUND: Duration = Duration::from_millis(500);

/// Why a server ended early.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing}: {source}")]
pub struct ServeError {
    doing: &'static str,
    source: io::Error,
}

/// Serves a registry on listeners until the end is asked for: then nothing new is accepted, answers being given are
/// finished for as long as [`crate::options::ServeOptions::drain`] allows, and all threads are joined.
///
/// # Errors
/// When the system does not give what a server needs. Errors of single requests are answered and logged.
pub fn serve(listeners: Vec<Listener>, registry: Arc<Registry>, stop: &Stop) -> Result<(), ServeError> {
    let failed = |doing| move |source| ServeError { doing, source };
    let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(|errno| failed("wait for events")(errno.into()))?;
    let engine = Arc::new(Engine {
        table: Table::new(registry.options.connections),
        epoll,
        listeners,
        registry,
        stop: stop.clone(),
    });
    engine.listen().map_err(failed("wait for connections"))?;
    let worker = Arc::clone(&engine);
    let limit = engine.registry.options.long_requests;
    let seats = Seats::new(seat_count(), limit, move |turn| worker.work(turn));
    seats.open().map_err(failed("start threads"))?;
    let result = engine.watch(&seats).map_err(failed("wait for the end"));
    stop.set();
    engine.end(&seats);
    result
}

/// Threads that wait for requests: enough that one that has to wait for a disk does not keep the others waiting.
fn seat_count() -> usize {
    std::thread::available_parallelism().map_or(4, |cores| (cores.get() * 2).clamp(4, 64))
}

struct Engine {
    epoll: OwnedFd,
    table: Table,
    listeners: Vec<Listener>,
    registry: Arc<Registry>,
    stop: Stop,
}

impl Engine {
    fn listen(&self) -> io::Result<()> {
        epoll::add(&self.epoll, &self.stop, EventData::new_u64(END), EventFlags::IN)?;
        for (number, listener) in (LISTENERS..).zip(&self.listeners) {
            epoll::add(&self.epoll, listener, EventData::new_u64(number), EventFlags::IN | EventFlags::ONESHOT)?;
        }
        Ok(())
    }

    /// What a seated thread does.
    fn work(&self, turn: &Turn<'_>) {
        let mut workspace = Workspace::default();
        let mut events = [MaybeUninit::uninit(); 1];
        while turn.goes_on() {
            let event = match epoll::wait(&self.epoll, &mut events, None) {
                Ok((&mut [event], _)) => event.data.u64(),
                Ok(_) | Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            match event {
                END => return,
                LISTENERS.. => self.accept(event),
                place => self.serve(u32::try_from(place).unwrap_or(u32::MAX), &mut workspace),
            }
        }
    }

    fn serve(&self, place: Place, workspace: &mut Workspace) {
        let Some(mut connection) = self.table.take(place) else { return };
        match connection.turn(&self.registry, &self.stop, workspace) {
            Next::Wait(deadline) => self.wait(place, connection, deadline, Arm::Again),
            Next::Close => self.close(place, &connection),
        }
    }

    fn wait(&self, place: Place, connection: Box<Connection>, deadline: Instant, arm: Arm) {
        let socket = Arc::clone(connection.link().socket());
        self.table.put(place, connection, deadline);
        let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ONESHOT;
        let event = EventData::new_u64(place.into());
        let armed = match arm {
            Arm::First => epoll::add(&self.epoll, &socket, event, flags),
            Arm::Again => epoll::modify(&self.epoll, &socket, event, flags),
        };
        if armed.is_err() {
            // Nobody else can have taken it: no event was asked for.
            if let Some(connection) = self.table.take(place) {
                self.close(place, &connection);
            }
        }
    }

    fn close(&self, place: Place, connection: &Connection) {
        // It is not there when it was never added.
        epoll::delete(&self.epoll, connection.link()).ok();
        self.registry.counters.connections.add(-1);
        if self.table.leave(place) {
            self.arm_listeners();
        }
    }

    fn arm_listeners(&self) {
        for number in (LISTENERS..).take(self.listeners.len()) {
            self.arm_listener(number);
        }
    }

    fn arm_listener(&self, number: u64) {
        let Some(listener) = self.listener(number) else { return };
        let flags = EventFlags::IN | EventFlags::ONESHOT;
        // It was added at the beginning; there is nothing that could fail but memory, and the next round tries again.
        epoll::modify(&self.epoll, listener, EventData::new_u64(number), flags).ok();
    }

    fn listener(&self, number: u64) -> Option<&Listener> {
        self.listeners.get(usize::try_from(number - LISTENERS).ok()?)
    }

    fn accept(&self, number: u64) {
        let Some(listener) = self.listener(number) else { return };
        for _ in 0..ACCEPTED {
            // Whoever has the least right to its place gives it up: one that has been idle the longest.
            if !self.table.has_room() {
                self.registry.counters.refused.add(u64::from(self.table.cut_one()));
                // The place is free once the thread that sees the cut has closed it, which arms the listeners.
                if !self.table.has_room() {
                    return;
                }
            }
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            match rustix::net::acceptfrom_with(listener, flags) {
                Ok((socket, address)) => self.welcome(listener, socket, address.and_then(|any| any.try_into().ok())),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => break,
                // No descriptors or no memory: the next round tries again.
                Err(_) => return,
            }
        }
        self.arm_listener(number);
    }

    fn welcome(&self, listener: &Listener, socket: OwnedFd, address: Option<SocketAddr>) {
        let tls = match listener.encryption().map(ServerConnection::new).transpose() {
            Ok(tls) => tls,
            // The configuration is not usable; there is nothing that could be said to the peer.
            Err(_) => return self.registry.counters.refused.one(),
        };
        if address.is_some() {
            rustix::net::sockopt::set_tcp_nodelay(&socket, true).ok();
        }
        let socket = Arc::new(socket);
        let Some(place) = self.table.enter(&socket) else { return self.registry.counters.refused.one() };
        self.registry.counters.accepted.one();
        self.registry.counters.connections.add(1);
        let peer = address.map_or(Peer::Local, Peer::Net);
        let connection = Box::new(Connection::new(Link::new(socket, tls), peer));
        self.wait(place, connection, Instant::now() + self.registry.options.head_time, Arm::First);
    }

    /// Until the end: cuts late connections.
    fn watch(&self, seats: &Seats) -> io::Result<()> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: ROUND.subsec_nanos().into() };
        while !self.stop.is_set() {
            match poll(&mut [PollFd::new(&self.stop, PollFlags::IN)], Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            self.registry.counters.refused.add(self.table.cut_late(Instant::now()));
            self.registry.tidy();
            if self.table.has_room() {
                self.arm_listeners();
            }
            // They also end when the end was asked for in this moment.
            if seats.threads() == 0 && !self.stop.is_set() {
                return Err(io::Error::other("no thread is left"));
            }
        }
        Ok(())
    }

    fn end(&self, seats: &Seats) {
        let deadline = Instant::now() + self.registry.options.drain;
        seats.close();
        while seats.threads() > 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.table.cut_all();
        seats.join();
        self.table.clear();
    }
}

/// Whether the epoll knows a connection.
#[derive(Clone, Copy)]
enum Arm {
    First,
    Again,
}
