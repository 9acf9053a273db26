//! The host, as the tests play it: from columns to values.

use std::collections::HashMap;

use serde_json::{Map, Number, Value};

use crate::codec::outline::Columns;
use crate::codec::outline::shapes::{Changes, ShapeChange};
use crate::codec::outline::word::{FIRST_KNOWN, Kind, Literal, kind, number};

/// The host: reads columns by the shapes that it was told of.
#[derive(Default)]
pub(super) struct Host {
    pub(super) keys: Vec<Option<Vec<String>>>,
    pub(super) strings: HashMap<u16, Box<str>>,
}

pub(super) struct Reading<'a> {
    columns: &'a Columns,
    json: std::vec::IntoIter<Value>,
    word: usize,
    double: usize,
    chunk: usize,
    byte: usize,
    text: Vec<u16>,
    unit: usize,
    /// How many objects were built by their shape.
    pub(super) shaped: usize,
}

impl Host {
    pub(super) fn learn(&mut self, changes: Changes) {
        self.strings.extend(changes.strings);
        for ShapeChange { shape, keys } in changes.shapes {
            let place = usize::from(shape);
            self.keys.resize(self.keys.len().max(place + 1), None);
            self.keys[place] = keys;
        }
    }

    pub(super) fn read<'a>(&self, columns: &'a Columns) -> (Vec<Value>, Reading<'a>) {
        let json: Vec<Value> = serde_json::from_str(&format!("[{}]", columns.json())).unwrap();
        let mut reading = Reading {
            columns,
            json: json.into_iter(),
            word: 0,
            double: 0,
            chunk: 0,
            byte: 0,
            text: Vec::new(),
            unit: 0,
            shaped: 0,
        };
        let mut values = Vec::new();
        while reading.word < columns.words.len() {
            values.push(self.value(&mut reading));
        }
        assert_eq!(
            (reading.double, reading.chunk, reading.byte, reading.unit, reading.json.len()),
            (columns.doubles.len(), columns.chunks.len(), columns.text.len(), reading.text.len(), 0)
        );
        (values, reading)
    }

    fn value(&self, reading: &mut Reading<'_>) -> Value {
        let word = reading.columns.words[reading.word];
        reading.word += 1;
        match kind(word) {
            Kind::Text => Value::String(reading.string(number(word) as usize)),
            Kind::Integer => Value::from(word.cast_signed() >> 3),
            Kind::Double => {
                reading.double += 1;
                Number::from_f64(reading.columns.doubles[reading.double - 1])
                    .map_or(Value::Null, Value::Number)
            }
            Kind::Literal if number(word) == Literal::Null as u32 => Value::Null,
            Kind::Literal if number(word) == Literal::Empty as u32 => Value::Object(Map::new()),
            Kind::Literal if number(word) >= FIRST_KNOWN => {
                let known = u16::try_from(number(word) - FIRST_KNOWN).unwrap();
                self.strings[&known].clone().into_string().into()
            }
            Kind::Literal => Value::Bool(number(word) == Literal::True as u32),
            Kind::Object => {
                reading.shaped += 1;
                let keys = self.keys[number(word) as usize].as_ref().unwrap();
                Value::Object(keys.iter().map(|key| (key.clone(), self.value(reading))).collect())
            }
            Kind::Array => (0..number(word)).map(|_| self.value(reading)).collect(),
            Kind::Json => reading.json.next().unwrap(),
            Kind::Special => unreachable!(),
        }
    }
}

impl Reading<'_> {
    fn string(&mut self, units: usize) -> String {
        if units > 0 && self.unit == self.text.len() {
            let chunk = self.columns.chunks[self.chunk];
            self.chunk += 1;
            let (length, wide) = ((chunk >> 1) as usize, chunk & 1 == 1);
            let bytes = &self.columns.text[self.byte..self.byte + (length << usize::from(wide))];
            self.byte += bytes.len();
            self.text = if wide {
                bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
            } else {
                bytes.iter().map(|byte| u16::from(*byte)).collect()
            };
            self.unit = 0;
        }
        let text = String::from_utf16_lossy(&self.text[self.unit..self.unit + units]);
        self.unit += units;
        text
    }
}
