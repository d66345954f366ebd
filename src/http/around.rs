//! Layers made of functions, as axum's `from_fn` makes them, but several functions share one: around each layer axum
//! copies the route with all that is inside it, and puts route, request and answer into boxes of their own, which for
//! a dozen layers costs more than a handler.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use tower::{Layer, Service, ServiceExt};

/// What is done around requests.
pub(super) trait Around: Clone + Send + Sync + 'static {
    /// Answers a request, mostly by what is inside.
    fn answer<S: Inner>(self, request: Request, inside: Inside<S>) -> impl Future<Output = Response> + Send;
}

/// What a layer may be put around.
pub(super) trait Inner:
    Service<Request, Response: IntoResponse, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> Inner for S where S: Service<Request, Response: IntoResponse, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static {}

/// What is inside a layer, for one request.
pub(super) struct Inside<S>(Arc<S>);

impl<S: Inner> Inside<S> {
    /// Lets it answer.
    pub(super) async fn answer(self, request: Request) -> Response {
        match S::clone(&self.0).oneshot(request).await {
            Ok(response) => response.into_response(),
            Err(never) => match never {},
        }
    }
}

/// The layer.
#[derive(Clone)]
pub(super) struct AroundLayer<A>(pub(super) A);

/// What the layer makes of what is inside. That is shared, because routes are cloned for every request.
#[derive(Clone)]
pub(super) struct Surrounded<A, S> {
    around: A,
    inside: Arc<S>,
}

impl<A: Around, S> Layer<S> for AroundLayer<A> {
    type Service = Surrounded<A, S>;

    fn layer(&self, inside: S) -> Self::Service {
        Surrounded { around: self.0.clone(), inside: Arc::new(inside) }
    }
}

impl<A: Around, S: Inner> Service<Request> for Surrounded<A, S> {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // What is inside is asked when it is its turn.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (around, inside) = (self.around.clone(), Inside(Arc::clone(&self.inside)));
        Box::pin(async move { Ok(around.answer(request, inside).await) })
    }
}
