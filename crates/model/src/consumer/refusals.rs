//! What the server refuses to do for a group, such as for want of a right: the host is told once, and the report of
//! health at once.

use crate::consumer::announcement::Announcement;
use crate::consumer::context::Context;
use crate::consumer::group::Group;
use crate::consumer::stream::Stream;
use crate::error::Outcome;
use crate::stream_store::Request;
use crate::{BusError, ErrorKind};

/// What a request of a consumer does, in words. `None`: its failure is told elsewhere.
fn name_of(request: &Request) -> Option<&'static str> {
    match request {
        Request::Acknowledge { .. } => Some("acknowledge entries"),
        Request::ExtendLease { .. } => Some("renew claims"),
        Request::Requeue { .. } => Some("hand entries back"),
        Request::Skip { .. } => Some("skip entries"),
        Request::TakeUp { .. } => Some("take up entries that it has read past"),
        Request::AnyExpired { .. } | Request::ListExpired { .. } | Request::Claim { .. } => {
            Some("take entries over")
        }
        Request::ClaimOwnPending { .. } => Some("find its pending entries"),
        Request::Heartbeat { .. } => Some("keep its facts"),
        Request::RemoveDeadConsumers { .. } => Some("remove dead consumers"),
        _ => None,
    }
}

/// Whether the server has refused something that does not mend by itself.
fn is_lasting(error: &BusError) -> bool {
    error.outcome == Some(Outcome::Rejected) && !error.kind.retryable() && error.kind != ErrorKind::NoGroup
}

/// A request about stream number `at` was answered, with `error` if it failed.
pub(super) fn answered(
    group: &mut Group,
    at: usize,
    request: &Request,
    error: Option<&BusError>,
    cx: &mut Context,
) {
    let Some(name) = name_of(request) else { return };
    let Group { streams, joining, .. } = group;
    let Some(stream) = streams.get_mut(at) else { return };
    let refused = error.filter(|error| is_lasting(error));
    if let Some(error) = refused
        && stream.refusals.answered(name, refused)
        && stream.trouble.is_none()
    {
        let (group, stream, why) = (&joining.group, &stream.name, &error.message);
        let message = format!("group {group:?} of stream {stream:?} cannot {name}: {why}");
        cx.announce(Announcement::Error(BusError { message, ..error.clone() }));
    } else if error.is_none() {
        stream.refusals.answered(name, None);
    }
}

/// The server has refused a read.
pub(super) fn read_refused(group: &mut Group, error: &BusError, cx: &mut Context) {
    let tells = group.reading.refused(error);
    let told = |stream: &Stream| stream.trouble.is_some() || stream.refusals.first().is_some();
    if matches!(error.kind, ErrorKind::WrongType | ErrorKind::PermissionDenied) {
        // It may be about one of the streams: each is asked for by itself, and the others are read on.
        group.streams.iter_mut().for_each(|stream| stream.opening.group_gone());
    }
    if tells && !group.streams.iter().any(told) {
        let message = format!("group {:?} cannot read: {}", group.joining.group, error.message);
        cx.announce(Announcement::Error(BusError { message, ..error.clone() }));
    }
}
