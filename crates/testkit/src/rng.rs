//! Randomness whose seed is printed, so that a failing schedule can be run again.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// The environment variable that fixes the seed: an unsigned 64-bit decimal number.
pub const SEED_VARIABLE: &str = "OXBUS_TEST_SEED";

/// A generator seeded from `OXBUS_TEST_SEED`, or at random; the seed is printed to stderr under `name`.
///
/// # Panics
/// When the variable is set to something that is not a number.
pub fn seeded(name: &str) -> StdRng {
    let seed = match std::env::var(SEED_VARIABLE) {
        Ok(text) => parse_seed(&text),
        Err(_) => rand::random(),
    };
    eprintln!("{name}: {SEED_VARIABLE}={seed}");
    StdRng::seed_from_u64(seed)
}

fn parse_seed(text: &str) -> u64 {
    text.trim().parse().unwrap_or_else(|_| panic!("{SEED_VARIABLE} must be a number, not {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_number() {
        assert_eq!(parse_seed(" 42\n"), 42);
        assert!(std::panic::catch_unwind(|| parse_seed("x")).is_err());
    }
}
