//! The spans that everything else hangs on. They are there at every log level, so that each line of a request has its id.

use axum::http::{HeaderMap, Method};
use tracing::{Span, field};
use uuid::Uuid;

use super::trace_parent::TraceParent;

/// A request under way.
pub(crate) struct Request(Span);

impl Request {
    /// It begins: with the trace of its caller, if that has one.
    pub(crate) fn begin(method: &Method, request_id: &str, headers: &HeaderMap) -> Self {
        let parent = TraceParent::of(headers);
        let trace_id = parent.map(|parent| parent.trace_id);
        #[cfg(not(feature = "otel"))]
        let span = tracing::info_span!("request", request_id, trace_id, method = method.as_str(), route = field::Empty);
        #[cfg(feature = "otel")]
        let span =
            tracing::info_span!("request", request_id, trace_id, method = method.as_str(), route = field::Empty, otel.kind = "server");
        #[cfg(feature = "otel")]
        super::opentelemetry::request_begins(&span, parent, headers);
        Self(span)
    }

    /// The span, to work in.
    pub(crate) fn span(&self) -> Span {
        self.0.clone()
    }

    /// Notes the route of the request that is worked on: the path's pattern, never the path.
    pub(crate) fn note_route(route: &str) {
        Span::current().record("route", route);
    }

    /// It was answered. The log has it as an event; this is for the export.
    #[cfg_attr(not(feature = "otel"), expect(clippy::unused_self, reason = "the export of spans needs it"))]
    pub(crate) fn end(&self, method: &Method, route: &str, status: u16) {
        #[cfg(feature = "otel")]
        super::opentelemetry::request_ends(&self.0, method, route, status);
        #[cfg(not(feature = "otel"))]
        let _ = (method, route, status);
    }
}

/// A piece of work in the background: what is being done, such as "renewing leases".
pub(crate) fn work(doing: &'static str) -> Span {
    let span = tracing::info_span!("work", doing);
    #[cfg(feature = "otel")]
    super::opentelemetry::rename(&span, doing);
    span
}

/// An edge's socket, from its first message to its last.
pub(crate) fn edge_socket(edge_id: Uuid) -> Span {
    tracing::info_span!("edge_socket", edge = %edge_id)
}

/// An admin's socket.
pub(crate) fn admin_socket(session_id: Uuid) -> Span {
    tracing::info_span!("admin_socket", session = %session_id)
}
