//! The same requests to a server and to the store in memory have the same answers.
//!
//! Ids and times differ: an id is compared by the number of the entry, a time by whether there is one. What
//! a server knows only about, or counts in its own way, is left out: its lag, what was missed, and which
//! consumers without entries there are.

use oxbus_model::stream_store::memory::Streams;
use oxbus_model::stream_store::{Fields, MinIdle, keys};
use oxbus_testkit::seeded;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::*;

mod view;

use view::Names;

const GROUPS: [&str; 2] = ["billing", "shipping"];
const CONSUMERS: [&str; 3] = ["a", "b", "c"];
const INSTANCES: [&str; 2] = ["one", "two"];
/// Longer than a test, shorter than what a hand-back sets.
const LONG: u64 = 1_800_000;
/// Steps between two looks at everything.
const STEPS: usize = 25;

/// A side of the comparison.
enum Side {
    Server(Box<Rig>),
    /// With the time, which passes with each step.
    Memory(Box<Streams>, u64),
}

struct World {
    side: Side,
    names: Names,
}

impl World {
    async fn ask(&mut self, request: Request) -> Result<Response, BusError> {
        let answer = match &mut self.side {
            Side::Server(rig) => rig.ask(request).await,
            Side::Memory(streams, now) => {
                *now += 1;
                streams.execute(request, *now)
            }
        };
        match &answer {
            Ok(Response::Facts(facts)) if facts.taken_by.is_none() => self.names.version = facts.version,
            Ok(Response::Skipped { version, .. }) => self.names.version = *version,
            _ => {}
        }
        answer
    }

    async fn append(&mut self, n: &str) {
        let event_type = format!("type.{}", n.len() % 2 + usize::from(n.ends_with(['1', '4', '7'])));
        let field = |name: &str, value: &str| (name.as_bytes().into(), value.as_bytes().into());
        let fields: Fields = vec![field("eventType", &event_type), field("n", n)];
        match &mut self.side {
            Side::Server(rig) => drop(rig.append_to(STREAM, &["eventType", &event_type, "n", n]).await),
            Side::Memory(streams, now) => {
                *now += 1;
                streams.append(STREAM, fields, None, *now);
            }
        }
    }

    /// Reads new entries of a group; how many came, and whether there is a group.
    async fn deliver(&mut self, group: &str, consumer: &str, count: usize) -> Option<usize> {
        match &mut self.side {
            Side::Server(rig) => {
                let count = count.to_string();
                let read = ["XREADGROUP", "GROUP", group, consumer, "COUNT", &count, "STREAMS", STREAM, ">"];
                match rig.server.try_command(&read).await.ok()? {
                    Value::Nil => Some(0),
                    streams => Some(streams.items()[0].items()[1].items().len()),
                }
            }
            Side::Memory(streams, now) => {
                *now += 1;
                Some(streams.read_group(STREAM, group, consumer, count, *now).ok()?.len())
            }
        }
    }

    /// A member of each group has shown that it lives. The server notes then what may still be taken up, and so may not be
    /// trimmed: at the first heartbeat of a minute, and here at each.
    async fn renew(&mut self) {
        for group in GROUPS {
            if let Side::Server(rig) = &self.side {
                rig.server.command(&["HDEL", &keys::facts(STREAM, group), "pruned"]).await;
            }
            let (stream, instance): (Arc<str>, Arc<str>) = (STREAM.into(), INSTANCES[0].into());
            let member = ConsumerId {
                stream,
                group: group.into(),
                consumer: CONSUMERS[0].into(),
                instance: instance.clone(),
            };
            let heartbeat = Request::Heartbeat {
                member,
                instance,
                alive: 60_000,
                alive_key: "alive".into(),
                lease: 30_000,
                foreign_lease: 600_000,
                patterns: Vec::new(),
                mark: None,
                version: self.names.version,
                take_up: Vec::new(),
            };
            // A group that is not there is none to a server either.
            let _ = self.ask(heartbeat).await;
        }
    }

    /// Learns the ids that are new.
    async fn learn(&mut self) {
        for stream in [STREAM, LETTERS] {
            let range = Request::Range {
                stream: stream.into(),
                from: EntryId::MIN,
                to: EntryId::MAX,
                limit: 100_000,
                reverse: false,
            };
            let Ok(Response::Entries(entries)) = self.ask(range).await else { panic!("no entries") };
            let known = if stream == STREAM { &mut self.names.entries } else { &mut self.names.letters };
            let last = known.last().copied().unwrap_or_default();
            known.extend(ids_of(&entries).into_iter().filter(|id| *id > last));
        }
    }
}

/// A request whose ids are numbers of entries, or of letters for [`Request::RequeueDeadLetter`].
fn some_request(random: &mut StdRng, entries: usize, letters: usize) -> Box<dyn Fn(&Names) -> Request> {
    let stream: Arc<str> = STREAM.into();
    let group: Arc<str> = (*GROUPS.choose(random).unwrap()).into();
    let consumer: Arc<str> = (*CONSUMERS.choose(random).unwrap()).into();
    let instance: Arc<str> = (*INSTANCES.choose(random).unwrap()).into();
    let member =
        ConsumerId { stream: stream.clone(), group: group.clone(), consumer, instance: instance.clone() };
    // Mostly late ones, as those are pending.
    let number = |random: &mut StdRng| {
        let far = if random.random_bool(0.8) { 12 } else { entries.max(12) };
        let back = random.random_range(0..far);
        entries.saturating_sub(1 + back)
    };
    let mut numbers: Vec<usize> = (0..random.random_range(1..8)).map(|_| number(random)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let count = random.random_range(0..5u32);
    let limit = random.random_range(1..10usize);
    let flag = random.random_bool(0.5);
    let mut idle = || if random.random_bool(0.5) { 0 } else { LONG };
    let ours = idle();
    let min_idle = MinIdle { ours, foreign: idle().max(ours) };
    // Never due within a test.
    let due_in = random.random_bool(0.3).then(|| random.random_range(1..4) * LONG);
    let one = numbers[0];
    let (letter_number, some_letters) = (random.random_range(0..letters.max(1)), letters > 0);
    let position = random.random_range(0..3);
    let of = move |names: &Names, number: usize| {
        names.entries.get(number).copied().unwrap_or(EntryId { ms: 1, seq: 1 })
    };
    let all = move |names: &Names| numbers.iter().map(|n| of(names, *n)).collect::<Vec<_>>();
    match random.random_range(0..25) {
        0 | 1 => Box::new(move |_| {
            let from = if position == 0 { Position::New } else { Position::Beginning };
            Request::EnsureGroup { stream: stream.clone(), group: group.clone(), from, restarted: flag }
        }),
        2 => Box::new(move |names| {
            let from = Position::After(of(names, one));
            Request::EnsureGroup { stream: stream.clone(), group: group.clone(), from, restarted: flag }
        }),
        3 | 4 => Box::new(move |names| Request::Acknowledge { member: member.clone(), ids: all(names) }),
        5 | 6 => Box::new(move |names| {
            let state = flag.then_some(RetryState { deliveries: count, due_in });
            let items = all(names).into_iter().map(|id| (id, state)).collect();
            Request::ExtendLease { member: member.clone(), items }
        }),
        7 | 8 => Box::new(move |names| {
            let state = RetryState { deliveries: count, due_in };
            let items = all(names).into_iter().map(|id| (id, state)).collect();
            Request::Requeue { member: member.clone(), items, lease: 30_000, unhandled: flag }
        }),
        9 | 10 => Box::new(move |names| {
            let letters = all(names).into_iter().map(letter).collect();
            let to = (position > 0).then(|| LETTERS.into());
            Request::DeadLetter { member: member.clone(), to, max_len: 10_000, letters }
        }),
        11 => Box::new(move |names| Request::MarkStarted { member: member.clone(), id: of(names, one) }),
        12 if flag && limit % 2 == 0 => {
            Box::new(move |_| Request::AnyExpired { member: member.clone(), min_idle: min_idle.ours })
        }
        12 => Box::new(move |_| Request::ListExpired {
            member: member.clone(),
            min_idle,
            limit,
            early: flag,
            set_right: false,
        }),
        13 | 14 => Box::new(move |names| Request::Claim {
            member: member.clone(),
            min_idle,
            early: flag,
            ids: all(names),
        }),
        15 => Box::new(move |names| {
            let after = if position == 0 { of(names, one) } else { EntryId::MIN };
            Request::ClaimOwnPending { member: member.clone(), after, limit, raise: flag }
        }),
        16 => Box::new(move |names| Request::Heartbeat {
            member: member.clone(),
            instance: instance.clone(),
            alive: if flag { 60_000 } else { 0 },
            alive_key: "alive".into(),
            lease: u64::from(count) + 1,
            foreign_lease: u64::from(count) + 2,
            patterns: vec![format!("type.{}", limit % 4)],
            mark: None,
            version: names.version,
            take_up: vec![(
                format!("type.{}", limit % 4),
                match position {
                    0 => Position::After(of(names, one)),
                    1 => Position::New,
                    _ => Position::Beginning,
                },
            )],
        }),
        17 => {
            Box::new(move |_| Request::RemoveConsumer { member: member.clone(), instance: instance.clone() })
        }
        18 => Box::new(move |_| Request::ApplyRetention {
            stream: stream.clone(),
            instance: instance.clone(),
            max_len: Some(8 + limit as u64),
            max_age: None,
            safe: flag,
        }),
        19 => Box::new(move |names| Request::Delete { stream: stream.clone(), ids: vec![of(names, one)] }),
        20 if some_letters => Box::new(move |names| {
            let id = names.letters.get(letter_number).copied().unwrap_or_default();
            Request::RequeueDeadLetter { letters: LETTERS.into(), id, for_group: flag }
        }),
        22 | 23 => Box::new(move |names| {
            let type_of = |n: &usize| -> Arc<str> { format!("type.{}", n % 3).into() };
            let entries = all(names).into_iter().enumerate().map(|(n, id)| (id, type_of(&n))).collect();
            Request::Skip { member: member.clone(), version: names.version, entries }
        }),
        24 => Box::new(move |_| {
            let told = if flag { (1..8).collect() } else { Vec::new() };
            Request::TakeUp { member: member.clone(), told, tasks: (1..8).collect(), limit }
        }),
        20 | 21 if limit < 3 => {
            Box::new(move |_| Request::RemoveGroup { stream: stream.clone(), group: group.clone() })
        }
        _ => Box::new(move |names| Request::Redeliver {
            stream: stream.clone(),
            group: group.clone(),
            id: of(names, one),
        }),
    }
}

#[tokio::test]
async fn a_server_answers_as_the_store_in_memory_does() {
    let mut random = seeded("differential");
    for _ in 0..4 {
        let mut worlds = [
            World { side: Side::Server(Box::new(Rig::start().await)), names: Names::default() },
            World { side: Side::Memory(Box::default(), 1_700_000_000_000), names: Names::default() },
        ];
        let mut steps: Vec<String> = Vec::new();
        for step in 0..500 {
            let action = random.random_range(0..10);
            let (group, consumer) =
                (*GROUPS.choose(&mut random).unwrap(), *CONSUMERS.choose(&mut random).unwrap());
            let limit = random.random_range(1..6);
            let (entries, letters) = (worlds[0].names.entries.len(), worlds[0].names.letters.len());
            let request = some_request(&mut random, entries, letters);
            let mut shown = Vec::new();
            for world in &mut worlds {
                let answer = match action {
                    0 | 1 => {
                        world.append(&step.to_string()).await;
                        "appended".to_owned()
                    }
                    2 | 3 => format!("{:?}", world.deliver(group, consumer, limit).await),
                    _ => {
                        let request = request(&world.names);
                        if matches!(request, Request::ApplyRetention { .. }) {
                            world.renew().await;
                        }
                        let answer = world.ask(request).await;
                        world.learn().await;
                        world.names.of(STREAM).shown(answer)
                    }
                };
                world.learn().await;
                shown.push(answer);
            }
            let what = match action {
                0 | 1 => "append".to_owned(),
                2 | 3 => format!("deliver {limit} of {group} to {consumer}"),
                _ => format!("{:?}", request(&worlds[1].names)),
            };
            steps.push(format!("{what} -> {}", shown[1]));
            let trail = || steps[steps.len().saturating_sub(60)..].join("\n");
            assert_eq!(shown[0], shown[1], "step {step}: server, memory\n{}", trail());
            if step % STEPS == 0 {
                look_at_everything(&mut worlds, &trail()).await;
            }
        }
    }
}

/// Compares what the two sides hold.
async fn look_at_everything(worlds: &mut [World; 2], trail: &str) {
    let mut requests = Vec::new();
    for stream in [STREAM, LETTERS] {
        requests.push((stream, Request::Describe { stream: stream.into() }));
        for reverse in [false, true] {
            let (from, to) = (EntryId::MIN, EntryId::MAX);
            requests
                .push((stream, Request::Range { stream: stream.into(), from, to, limit: 1_000, reverse }));
        }
    }
    for group in GROUPS {
        let (stream, group) = (STREAM.into(), group.into());
        let pending =
            Request::Pending { stream, group, from: EntryId::MIN, limit: 1_000, min_idle: 0, consumer: None };
        requests.push((STREAM, pending));
    }
    for (of, request) in requests {
        let mut shown = Vec::new();
        for world in worlds.iter_mut() {
            let answer = world.ask(request.clone()).await;
            shown.push(world.names.of(of).shown(answer));
        }
        assert_eq!(shown[0], shown[1], "{request:?}: server, memory\n{trail}");
    }
}
