//! Our glob matcher against the real server's.

use std::collections::BTreeSet;

use oxbus_model::routing::pattern;
use oxbus_testkit::{RedisServer, RespClient, seeded};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

const ROUNDS: usize = 20;
const PATTERNS: usize = 40;
const CHANNELS: usize = 40;

/// Few letters, so that things match, and every character that could be special.
const ALPHABET: &[u8] = b"aaabbc.:-^*?[]\\\x00\n\x7f\x80\xff";
const SPECIAL: &[&[u8]] = &[
    b"*", b"?", b"[ab]", b"[^a]", b"[a-c]", b"[c-a]", b"[", b"]", b"[^", b"\\", b"-", b"[\\]]", b"**",
    b"[a-]",
];

fn random_bytes(rng: &mut StdRng, longest: usize) -> Vec<u8> {
    let length = rng.random_range(0..=longest);
    (0..length).map(|_| *ALPHABET.choose(rng).unwrap()).collect()
}

fn random_pattern(rng: &mut StdRng) -> Vec<u8> {
    let mut pattern = Vec::new();
    for _ in 0..rng.random_range(0..5) {
        if rng.random_bool(0.5) {
            pattern.extend_from_slice(SPECIAL.choose(rng).unwrap());
        } else {
            pattern.extend(random_bytes(rng, 3));
        }
    }
    pattern
}

/// A channel of its own, or one that resembles a pattern, so that near misses are common.
fn random_channel(rng: &mut StdRng, patterns: &[Vec<u8>]) -> Vec<u8> {
    if rng.random_bool(0.3) {
        return random_bytes(rng, 6);
    }
    let mut channel = Vec::new();
    for byte in patterns.choose(rng).unwrap() {
        match byte {
            b'*' => channel.extend(random_bytes(rng, 3)),
            b'?' | b'[' | b'\\' if rng.random_bool(0.7) => channel.push(*ALPHABET.choose(rng).unwrap()),
            _ if rng.random_bool(0.1) => {}
            other => channel.push(*other),
        }
    }
    channel
}

/// 32,000 random pairs of a pattern and a channel match here as they do there.
#[tokio::test]
async fn the_matcher_agrees_with_the_server() {
    let mut rng = seeded("the_matcher_agrees_with_the_server");
    let server = RedisServer::start().await;
    let mut publisher = RespClient::connect(server.addr()).await.unwrap();
    let mut subscriber = RespClient::connect(server.addr()).await.unwrap();
    let mut matched = 0;
    for _ in 0..ROUNDS {
        let patterns: BTreeSet<Vec<u8>> = (0..PATTERNS).map(|_| random_pattern(&mut rng)).collect();
        let patterns: Vec<Vec<u8>> = patterns.into_iter().collect();
        let command = |name: &[u8]| [&[name.to_vec()], patterns.as_slice()].concat();
        subscriber.send(&command(b"PSUBSCRIBE")).await.unwrap();
        for _ in &patterns {
            assert_eq!(subscriber.read().await.unwrap().items()[0].text(), "psubscribe");
        }
        for _ in 0..CHANNELS {
            let channel = random_channel(&mut rng, &patterns);
            let receivers = publisher.call(&[b"PUBLISH", channel.as_slice(), b""]).await.unwrap().int();
            let mut theirs = BTreeSet::new();
            for _ in 0..receivers {
                let message = subscriber.read().await.unwrap();
                assert_eq!(message.items()[2].bytes(), channel);
                theirs.insert(message.items()[1].bytes().to_vec());
            }
            matched += theirs.len();
            for pattern in &patterns {
                assert_eq!(
                    pattern::matches(pattern, &channel),
                    theirs.contains(pattern),
                    "pattern {} and channel {}",
                    pattern.escape_ascii(),
                    channel.escape_ascii()
                );
            }
        }
        subscriber.send(&command(b"PUNSUBSCRIBE")).await.unwrap();
        for _ in &patterns {
            assert_eq!(subscriber.read().await.unwrap().items()[0].text(), "punsubscribe");
        }
    }
    assert!(matched > 300, "only {matched} pairs matched: the cases have become too dull");
}

/// An escaped text matches itself there, and nothing that differs in one byte.
#[tokio::test]
async fn an_escaped_text_is_literal_on_the_server() {
    let mut rng = seeded("an_escaped_text_is_literal_on_the_server");
    let server = RedisServer::start().await;
    let mut publisher = RespClient::connect(server.addr()).await.unwrap();
    let mut subscriber = RespClient::connect(server.addr()).await.unwrap();
    for _ in 0..200 {
        let length = rng.random_range(1..8);
        let text: String = (0..length)
            .map(|_| *['a', '*', '?', '[', ']', '\\', '^', '-', 'é'].choose(&mut rng).unwrap())
            .collect();
        let escaped = pattern::escape(&text);
        subscriber.call(&["PSUBSCRIBE", &escaped]).await.unwrap();
        assert_eq!(
            publisher.call(&["PUBLISH", &text, ""]).await.unwrap().int(),
            1,
            "{text:?} as {escaped:?}"
        );
        subscriber.read().await.unwrap();
        let mut other = text.clone().into_bytes();
        let at = rng.random_range(0..other.len());
        other[at] = if other[at] == b'x' { b'y' } else { b'x' };
        let receivers = publisher.call(&[b"PUBLISH", other.as_slice(), b""]).await.unwrap().int();
        assert_eq!(receivers, 0, "{escaped:?} matched {}", other.escape_ascii());
        subscriber.call(&["PUNSUBSCRIBE", &escaped]).await.unwrap();
    }
}
