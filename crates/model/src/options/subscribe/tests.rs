use super::*;
use crate::retry::Jitter;

fn parse(json: &str) -> Result<SubscribeOptions, BusError> {
    SubscribeOptions::parse(json, &RetryPolicy::default())
}

#[test]
fn nothing_given_means_the_defaults() {
    for json in ["", "{}", r#"{"localOnly":false,"orderBy":"none","circuitBreaker":false}"#] {
        assert_eq!(parse(json), Ok(SubscribeOptions::default()), "{json}");
    }
}

#[test]
fn every_option_is_read() {
    let json = r#"{"concurrency":2,"timeout":0,"retryOnError":false,"maxRetries":5,"noEcho":true,"whenReady":true,"data":"raw","$held":true,"by":"channel",
        "retry":{"initialDelay":5,"maxDelay":9,"multiplier":1.5,"jitter":"none"},
        "circuitBreaker":{"errorThresholdPercentage":20,"resetTimeout":1,"minimumCalls":2,"window":3},
        "filter":{"data.status":["a",null]},"queue":{"maxEvents":1,"maxBytes":2,"overflow":"latest-per-key"}}"#;
    let expected = SubscribeOptions {
        local_only: false,
        concurrency: 2,
        timeout: 0,
        retry_on_error: false,
        max_retries: 5,
        retry: RetryPolicy { initial_delay: 5, max_delay: 9, multiplier: 1.5, jitter: Jitter::None },
        circuit_breaker: Some(BreakerOptions {
            error_threshold_percentage: 20.0,
            reset_timeout: 1,
            minimum_calls: 2,
            window: 3,
        }),
        filter: serde_json::json!({"data.status": ["a", null]}).as_object().cloned(),
        queue: QueueOptions { max_events: 1, max_bytes: 2, overflow: Overflow::LatestPerKey },
        no_echo: true,
        when_ready: true,
        raw_data: true,
        held: true,
        by: MatchBy::Channel,
        durable: None,
    };
    assert_eq!(parse(json), Ok(expected));
    let on = parse(r#"{"circuitBreaker":true}"#).unwrap();
    assert_eq!(on.circuit_breaker, Some(BreakerOptions::default()));
}

#[test]
fn a_group_makes_it_durable() {
    let durable = DurableOptions {
        group: "g".to_owned(),
        streams: None,
        from: None,
        consumer: None,
        order_by: OrderBy::None,
        batch: None,
        max_processing: 600_000,
    };
    let options = parse(r#"{"group":"g","noEcho":false}"#).unwrap();
    assert_eq!((options.concurrency, options.durable), (16, Some(durable)));

    let json = r#"{"group":"g","streams":["a","b"],"from":"5-1","consumer":"c","orderBy":"key",
        "batch":{"size":10,"wait":20},"maxProcessing":30,"concurrency":2,"by":"channel"}"#;
    let options = parse(json).unwrap();
    let durable = DurableOptions {
        group: "g".to_owned(),
        streams: Some(vec!["a".to_owned(), "b".to_owned()]),
        from: Some(From::After(EntryId { ms: 5, seq: 1 })),
        consumer: Some("c".to_owned()),
        order_by: OrderBy::Key,
        batch: Some(BatchOptions { size: 10, wait: 20 }),
        max_processing: 30,
    };
    assert_eq!((options.concurrency, options.by, options.durable), (2, MatchBy::Channel, Some(durable)));
}

#[test]
fn where_a_group_starts() {
    for (from, expected) in [
        ("\"new\"", From::New),
        ("\"beginning\"", From::Beginning),
        ("\"7\"", From::After(EntryId::first_of(7))),
        ("1700000000000", From::Time(1_700_000_000_000)),
        ("\"1970-01-01T00:00:00.005Z\"", From::Time(5)),
    ] {
        let options = parse(&format!("{{\"group\":\"g\",\"from\":{from}}}")).unwrap();
        assert_eq!(options.durable.unwrap().from, Some(expected), "{from}");
    }
}

#[test]
fn what_retry_leaves_out_comes_from_the_configuration() {
    let of_config = RetryPolicy { initial_delay: 7, max_delay: 70, multiplier: 3.0, jitter: Jitter::None };
    let read = |json| SubscribeOptions::parse(json, &of_config).unwrap().retry;
    assert_eq!(read(""), of_config);
    assert_eq!(read("{}"), of_config);
    assert_eq!(read(r#"{"retry":{"multiplier":4}}"#), RetryPolicy { multiplier: 4.0, ..of_config.clone() });
    assert_eq!(read(r#"{"retry":{"initialDelay":80}}"#).max_delay, 80);
    assert_eq!(read(r#"{"retry":{"maxDelay":5}}"#).initial_delay, 5);
}

#[test]
fn bad_options_are_named() {
    for (json, message) in [
        ("[]", "the options must be an object, not an array"),
        (r#"{"group":""}"#, "group: must not be empty"),
        (r#"{"streams":["s"]}"#, "streams: is for a durable subscription, which needs a group"),
        (r#"{"from":"new"}"#, "from: is for a durable subscription, which needs a group"),
        (r#"{"consumer":"c"}"#, "consumer: is for a durable subscription, which needs a group"),
        (
            r#"{"group":"g","consumer":"oxbus:delayed"}"#,
            "consumer: is the name for events that wait for a retry",
        ),
        (r#"{"batch":{}}"#, "batch: is for a durable subscription, which needs a group"),
        (r#"{"maxProcessing":1}"#, "maxProcessing: is for a durable subscription, which needs a group"),
        (r#"{"orderBy":"key"}"#, "orderBy: is for a durable subscription, which needs a group"),
        (r#"{"group":"g","queue":{}}"#, "queue: is not for a durable subscription (one with a group)"),
        (r#"{"group":"g","noEcho":true}"#, "noEcho: is not for a durable subscription (one with a group)"),
        (r#"{"group":"g","streams":[]}"#, "streams: must not be empty"),
        (r#"{"group":"g","streams":["a",1]}"#, "streams[1]: expected a string, got a number"),
        (r#"{"group":"g","streams":["a",""]}"#, "streams[1]: must not be empty"),
        (r#"{"group":"g","streams":{}}"#, "streams: expected a string or an array of strings, got an object"),
        (r#"{"group":"g","from":"$"}"#, "from: expected 'new', 'beginning', a message id or a Date"),
        (r#"{"group":"g","from":-1}"#, "from: expected 'new', 'beginning', a message id or a Date"),
        (
            r#"{"group":"g","from":null}"#,
            "from: expected 'new', 'beginning', a message id or a Date, got null",
        ),
        (r#"{"group":"g","orderBy":"time"}"#, r#"orderBy: expected 'none' or 'key' or 'stream', got "time""#),
        (r#"{"group":"g","batch":{}}"#, "batch.size: is missing"),
        (r#"{"group":"g","batch":{"size":0}}"#, "batch.size: expected an integer from 1 to 10000, got 0"),
        (
            r#"{"group":"g","batch":{"size":1,"wait":60001}}"#,
            "batch.wait: expected an integer from 0 to 60000, got 60001",
        ),
        (
            r#"{"group":"g","maxProcessing":0}"#,
            "maxProcessing: expected an integer from 1 to 86400000, got 0",
        ),
        (r#"{"orderBy":"x"}"#, r#"orderBy: expected 'none', got "x""#),
        (r#"{"localOnly":1}"#, "localOnly: expected true or false, got a number"),
        (
            r#"{"localOnly":true,"group":"g"}"#,
            "localOnly: is not for a durable subscription (one with a group)",
        ),
        (r#"{"concurency":1}"#, "concurency: unknown key: did you mean 'concurrency'?"),
        (r#"{"concurrency":0}"#, "concurrency: expected an integer from 1 to 100000, got 0"),
        (r#"{"timeout":null}"#, "timeout: expected an integer from 0 to 86400000, got null (or NaN)"),
        (r#"{"maxRetries":-1}"#, "maxRetries: expected an integer from 0 to 1000000, got -1"),
        (r#"{"retry":{"delay":1}}"#, "retry.delay: unknown key"),
        (
            r#"{"retry":{"initialDelay":2,"maxDelay":1}}"#,
            "retry.maxDelay: must not be less than initialDelay (2)",
        ),
        (r#"{"retry":{"multiplier":0.5}}"#, "retry.multiplier: expected a number from 1 to 100, got 0.5"),
        (r#"{"circuitBreaker":1}"#, "circuitBreaker: expected an object or true or false, got a number"),
        (r#"{"circuitBreaker":{"foo":1}}"#, "circuitBreaker.foo: unknown key"),
        (r#"{"filter":"x"}"#, "filter: expected an object, got a string"),
        (
            r#"{"queue":{"overflow":"drop"}}"#,
            r#"queue.overflow: expected 'drop-oldest' or 'drop-newest' or 'latest-per-key', got "drop""#,
        ),
        (r#"{"by":"room"}"#, r#"by: expected 'type' or 'channel', got "room""#),
    ] {
        let error = parse(json).unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::InvalidOptions, message), "{json}");
    }
}
