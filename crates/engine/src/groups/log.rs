//! What is logged of the requests of groups: those that are rare, and never an event.

use oxbus_model::BusError;
use oxbus_model::stream_store::{Request, Response};
use tracing::{Level, Span, debug, debug_span, enabled};

/// What a request is about. [`Span::none`] for those of which nothing is logged, which may come with every event.
pub(super) fn span(request: &Request) -> Span {
    if !enabled!(Level::DEBUG) {
        return Span::none();
    }
    match request {
        Request::Claim { member, .. } | Request::ClaimOwnPending { member, .. } => {
            let (stream, group, consumer) = (&*member.stream, &*member.group, &*member.consumer);
            debug_span!("group", stream, group, consumer)
        }
        Request::EnsureGroup { stream, group, .. } => {
            debug_span!("group", stream = &**stream, group = &**group)
        }
        Request::ApplyRetention { stream, .. } => debug_span!("stream", stream = &**stream),
        _ => Span::none(),
    }
}

/// Logs what a request has brought about, within the span of the request.
pub(super) fn answered(request: &Request, result: &Result<Response, BusError>) {
    if !enabled!(Level::DEBUG) {
        return;
    }
    match (request, result) {
        (Request::EnsureGroup { .. }, Ok(Response::Ensured { created, position, recreated, .. })) => {
            debug!(created, recreated, position = %position, "the group is there");
        }
        (Request::EnsureGroup { .. }, Err(error)) => {
            debug!(code = error.kind.code(), error = error.message, "the group is not there");
        }
        (Request::Claim { .. }, Ok(Response::Claimed { entries, .. })) if !entries.is_empty() => {
            debug!(count = entries.len(), "entries were claimed from other consumers");
        }
        (Request::ClaimOwnPending { .. }, Ok(Response::Claimed { entries, .. })) if !entries.is_empty() => {
            debug!(count = entries.len(), "pending entries of this consumer were taken up again");
        }
        (Request::ApplyRetention { .. }, Ok(Response::Count(count @ 1..))) => {
            debug!(count, "the stream was trimmed");
        }
        _ => {}
    }
}
