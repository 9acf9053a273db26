//! Numbers such as prices, which need no general parser.

/// Powers of ten, all of them exact.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The most digits of which every number is exact as a double.
const DIGITS: usize = 15;

/// The number that a JSON number of few digits is; `None` for one with an exponent or more digits. Its digits and the power of ten
/// are exact, so their quotient is rounded once, to the nearest, as the number is.
#[inline]
pub(super) fn decimal(text: &str) -> Option<f64> {
    let (is_negative, number) = match text.as_bytes() {
        [b'-', number @ ..] => (true, number),
        number => (false, number),
    };
    if number.len() > DIGITS + 1 {
        return None;
    }
    let (mut digits, mut places, mut count) = (0u64, 0, 0);
    let mut is_behind = false;
    for byte in number {
        match byte {
            b'0'..=b'9' => {
                digits = digits * 10 + u64::from(byte - b'0');
                count += 1;
                places += usize::from(is_behind);
            }
            b'.' => is_behind = true,
            _ => return None,
        }
    }
    if count > DIGITS {
        return None;
    }
    let value = digits as f64 / POWERS.get(places)?;
    Some(if is_negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_the_library_says(text in "-?(0|[1-9][0-9]{0,16})(\\.[0-9]{1,16})?([eE][+-]?[0-9])?") {
            if let Some(number) = decimal(&text) {
                prop_assert_eq!(number.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{}", text);
            }
        }

        #[test]
        fn prices_are_read(whole in 0u64..1_000_000_000, cents in 0u32..100) {
            let price = format!("{whole}.{cents:02}");
            prop_assert!(decimal(&price).is_some());
        }
    }
}
