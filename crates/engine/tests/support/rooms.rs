//! Rooms and users, as a host uses them.

use oxbus_engine::Joinable;
use oxbus_model::BusError;
use serde_json::{Value, json};

use super::bus::{Answered, Bus};
use super::publishing::Record;

impl Bus {
    /// Joins a room for a member; `None`: the default one. Whether the member is new.
    pub async fn join_room(&self, room: &str, member: Option<&str>) -> Result<bool, BusError> {
        let member = member.map(str::to_owned);
        self.try_ask("join", |client, ticket| client.join(ticket, Joinable::Room, room, member))
            .await
            .map(flag)
    }

    /// Starts to join a room; the call is made before this returns.
    pub fn start_join(&self, room: &str, member: &str) -> Answered {
        let member = Some(member.to_owned());
        self.start_ask("join", |client, ticket| client.join(ticket, Joinable::Room, room, member))
    }

    /// Starts to leave a room, with all members; the call is made before this returns.
    pub fn start_leave(&self, room: &str) -> Answered {
        self.start_ask("leave", |client, ticket| client.leave(ticket, Joinable::Room, room, None))
    }

    /// Leaves a room; `None`: all members of this client. Whether there was any.
    pub async fn leave_room(&self, room: &str, member: Option<&str>) -> bool {
        let member = member.map(str::to_owned);
        let left = self.try_ask("leave", |client, ticket| client.leave(ticket, Joinable::Room, room, member));
        flag(left.await.expect("leaving never fails"))
    }

    /// Joins a user.
    pub async fn join_user(&self, user: &str) -> Result<bool, BusError> {
        self.try_ask("join", |client, ticket| client.join(ticket, Joinable::User, user, None)).await.map(flag)
    }

    /// Leaves a user.
    pub async fn leave_user(&self, user: &str) -> bool {
        let left = self.try_ask("leave", |client, ticket| client.leave(ticket, Joinable::User, user, None));
        flag(left.await.expect("leaving never fails"))
    }

    /// Who is in a room.
    pub async fn members(&self, room: &str) -> Vec<String> {
        let members = self.request("rooms.members", json!({ "room": room })).await.expect("the members");
        serde_json::from_value(members).expect("names")
    }
}

fn flag(value: Value) -> bool {
    value.as_bool().expect("a flag")
}

/// An event for a room.
pub fn to_room(room: &str, event_type: &str, data: impl Into<Value>) -> Record {
    Record::new(event_type, data.into()).with(json!({ "audience": { "room": room } }))
}

/// An event for a user.
pub fn to_user(user: &str, event_type: &str, data: impl Into<Value>) -> Record {
    Record::new(event_type, data.into()).with(json!({ "audience": { "user": user } }))
}
