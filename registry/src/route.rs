//! What is served beside `/v2/`: the page, figures, health, tokens.

use crate::gate::Need;
use crate::http::{Head, Request, Response};

/// A place beside `/v2/`. The first route of a list that knows a path answers it; what none knows is 404.
pub trait Route: Send + Sync {
    /// What a request needs to be allowed, if this route answers its path. No needs: nobody is asked, as for a token
    /// endpoint or for `/healthz`.
    fn needs(&self, head: &Head<'_>) -> Option<Vec<Need<'static>>>;

    /// Answers a request that [`Route::needs`] took on. Methods other than those that the route knows are its own to
    /// refuse.
    fn serve(&self, request: &mut Request<'_>) -> Response;
}
