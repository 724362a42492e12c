//! A registry on a port of its own, for one test.

use std::sync::Arc;
use std::thread::JoinHandle;

use registry::listener::Listener;
use registry::service::Registry;
use registry::stop::Stop;

/// A registry that serves until it is dropped.
pub(crate) struct Server {
    pub(crate) address: String,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn with(registry: Registry) -> Self {
        Self::on(Listener::tcp("127.0.0.1:0").unwrap(), registry)
    }

    pub(crate) fn on(listener: Listener, registry: Registry) -> Self {
        crate::deadline::watch();
        let address = listener.name().to_owned();
        let stop = Stop::new().unwrap();
        let own = stop.clone();
        let thread = std::thread::spawn(move || registry::serve(vec![listener], Arc::new(registry), &own).unwrap());
        Self { address, stop, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.set();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}
