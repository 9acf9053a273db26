//! Commands in their order, whatever is taken out, changed or cut off.

use proptest::prelude::*;

use super::*;

/// Command `n` has `n % 5 + 1` bytes of value `n`; those of `n % 7 == 3` are barriers.
fn push(pipeline: &mut Pipeline<u8>, n: u8) {
    let write = |bytes: &mut BytesMut| bytes.put_bytes(n, usize::from(n % 5 + 1));
    match n % 7 {
        3 => pipeline.push_barrier(n, 9, write),
        _ => pipeline.push(n, 9, write),
    }
}

/// What a test knows of the commands: how many bytes each still has, none once it was taken out.
#[derive(Default)]
struct Model {
    next: u8,
    left: Vec<usize>,
    sent: usize,
    answered: usize,
}

impl Model {
    fn unsent(&self) -> impl Iterator<Item = u8> {
        let (first, left) = (self.sent, &self.left);
        (0..self.next).filter(move |n| usize::from(*n) >= first && left[usize::from(*n)] > 0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_written_is_whole_in_order_and_as_it_was_changed_last(
        steps in prop::collection::vec((0u8..10, any::<u8>()), 0..150)
    ) {
        let mut pipeline = Pipeline::new();
        let (mut model, mut wire, mut told) = (Model::default(), Vec::new(), Vec::new());
        let write = |pipeline: &mut Pipeline<u8>, model: &mut Model, told: &mut Vec<u8>, wire: &mut Vec<u8>, most| {
            let some = pipeline.outgoing();
            let some = some[..some.len().min(most)].to_vec();
            pipeline.written_with(some.len(), 1, 1, |_| false, |n, bytes| {
                assert!(bytes.iter().all(|byte| byte == n) && bytes.len() == model.left[usize::from(*n)]);
                told.push(*n);
                model.sent = usize::from(*n) + 1;
            });
            wire.extend(some);
        };
        for (step, x) in steps {
            match step {
                0 | 1 if model.next < 200 => {
                    push(&mut pipeline, model.next);
                    model.left.push(usize::from(model.next % 5 + 1));
                    model.next += 1;
                }
                2 if model.next < 200 => {
                    let mut other = Pipeline::new();
                    push(&mut other, model.next);
                    model.left.push(usize::from(model.next % 5 + 1));
                    model.next += 1;
                    pipeline.append(other);
                }
                3 => write(&mut pipeline, &mut model, &mut told, &mut wire, usize::from(x)),
                4 => {
                    let taken = pipeline.remove_unsent(|n| n % 3 == x % 3);
                    prop_assert_eq!(&taken, &model.unsent().filter(|n| n % 3 == x % 3).collect::<Vec<_>>());
                    taken.iter().for_each(|n| model.left[usize::from(*n)] = 0);
                }
                5 => {
                    let taken = pipeline.remove_first_unsent(|n| n % 4 == x % 4);
                    prop_assert_eq!(taken, model.unsent().find(|n| n % 4 == x % 4));
                    taken.into_iter().for_each(|n| model.left[usize::from(n)] = 0);
                }
                6 => {
                    let taken = pipeline.remove_last_unsent(|n| n % 2 == x % 2);
                    taken.into_iter().for_each(|n| model.left[usize::from(n)] = 0);
                }
                7 => {
                    let wanted = model.unsent().find(|n| n % 4 == x % 4);
                    let found = pipeline.edit_first_unsent(|n| n % 4 == x % 4, |n, bytes| {
                        let left = &mut model.left[usize::from(*n)];
                        assert_eq!((Some(*n), bytes.len()), (wanted, *left));
                        *left = 1 + usize::from(x) % *left;
                        vec![*n; *left]
                    });
                    prop_assert_eq!(found, wanted.is_some());
                }
                8 => {
                    let taken = pipeline.split_off_unsent(|n| n % 5 == x % 5);
                    let expected: Vec<u8> = model.unsent().filter(|n| n % 5 == x % 5).collect();
                    let left = &model.left;
                    let bytes: Vec<u8> = expected.iter().flat_map(|n| vec![*n; left[usize::from(*n)]]).collect();
                    prop_assert_eq!(taken.commands().copied().collect::<Vec<_>>(), &expected[..]);
                    prop_assert_eq!(&taken.bytes[..], bytes);
                    prop_assert_eq!(taken.barriers.0, expected.iter().filter(|n| **n % 7 == 3).count());
                    expected.into_iter().for_each(|n| model.left[usize::from(n)] = 0);
                }
                _ => if pipeline.answered().is_some() { model.answered += 1; },
            }
            prop_assert!(pipeline.dead <= pipeline.bytes.len() / 2);
        }
        // Every barrier must be answered before what is behind it is written.
        for _ in 0..=usize::from(model.next) {
            write(&mut pipeline, &mut model, &mut told, &mut wire, usize::MAX);
            if pipeline.answered().is_some() { model.answered += 1; }
        }
        let expected = |n: &u8| model.left[usize::from(*n)] > 0;
        prop_assert_eq!(&told, &(0..model.next).filter(expected).collect::<Vec<_>>());
        let bytes: Vec<u8> = told.iter().flat_map(|n| vec![*n; model.left[usize::from(*n)]]).collect();
        prop_assert_eq!(wire, bytes);
        prop_assert_eq!((pipeline.dead, pipeline.barriers.0), (0, 0));
        let sent: Vec<u8> = pipeline.disconnected().into_iter().map(|c| c.command).collect();
        prop_assert_eq!(sent, &told[model.answered..]);
        prop_assert!(pipeline.is_idle() && pipeline.outgoing().is_empty());
    }
}

#[test]
fn what_is_behind_a_barrier_waits_for_its_answer() {
    let mut pipeline = Pipeline::new();
    (2..6).for_each(|n| push(&mut pipeline, n));
    assert_eq!(pipeline.outgoing(), [2, 2, 2, 3, 3, 3, 3]);
    pipeline.written(7, 1, 1, |_| false);
    assert_eq!(pipeline.outgoing(), [0; 0]);
    pipeline.answered();
    assert_eq!(pipeline.outgoing(), [0; 0]);
    pipeline.answered();
    assert_eq!(pipeline.outgoing(), [4, 4, 4, 4, 4, 5]);
}

#[test]
fn a_partly_written_command_is_lost_with_its_connection() {
    let mut pipeline = Pipeline::new();
    (4..7).for_each(|n| push(&mut pipeline, n));
    pipeline.written(6, 1, 1, |_| false);
    let lost: Vec<u8> = pipeline.disconnected().into_iter().map(|c| c.command).collect();
    assert_eq!((lost, pipeline.outgoing()), (vec![4, 5], &[6, 6][..]));
}
