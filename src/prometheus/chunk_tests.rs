use std::collections::BTreeMap;

use proptest::prelude::*;
use prost::Message;

use super::super::frame::Frames;
use super::super::messages::{ChunkedReadResponse, ReadResponse};
use super::*;

const ALL: TimeRange = TimeRange { start_ms: i64::MIN, end_ms: i64::MAX };
const HISTORY: &str = include_str!("../../tests/prometheus_wire/history.om");

/// What was written, read without any code under test: `case` label → time and bits of each sample that is a number.
fn written() -> BTreeMap<String, Vec<(i64, u64)>> {
    let mut out: BTreeMap<String, Vec<(i64, u64)>> = BTreeMap::new();
    for line in HISTORY.lines().filter(|l| l.starts_with("wire{")) {
        let case = line.split('"').nth(1).unwrap();
        let words: Vec<&str> = line.rsplitn(3, ' ').collect();
        let at_ms = (words[0].parse::<f64>().unwrap() * 1000.0).round() as i64;
        let value: f64 = words[1].parse().unwrap();
        if !value.is_nan() {
            out.entry(case.to_owned()).or_default().push((at_ms, value.to_bits()));
        }
    }
    out
}

#[test]
fn chunks_of_a_real_server() {
    let mut frames = Frames::default();
    frames.feed(include_bytes!("../../tests/prometheus_wire/streamed-2.42.bin"));
    let mut got: BTreeMap<String, Vec<(i64, u64)>> = BTreeMap::new();
    while let Some(message) = frames.next().unwrap() {
        for series in ChunkedReadResponse::decode(message).unwrap().series {
            let case = series.labels.iter().find(|l| l.name == "case").unwrap().value.clone();
            let mut samples = Vec::new();
            for piece in series.chunks {
                assert_eq!(decode(piece.encoding, &piece.data, ALL, &mut samples), Ok(Decoded::Floats));
            }
            got.entry(case).or_default().extend(samples.iter().map(|s| (s.at_ms, s.value.to_bits())));
        }
    }
    assert!(frames.is_empty());
    assert!(got == written());
}

#[test]
fn samples_of_a_real_server() {
    let bytes = include_bytes!("../../tests/prometheus_wire/samples-2.42.bin");
    let message = snap::raw::Decoder::new().decompress_vec(bytes).unwrap();
    let message = ReadResponse::decode(message.as_slice()).unwrap();
    let mut got = BTreeMap::new();
    for series in &message.results[0].series {
        let case = series.labels.iter().find(|l| l.name == "case").unwrap().value.clone();
        let samples: Vec<(i64, u64)> =
            series.samples.iter().filter(|s| !s.value.is_nan()).map(|s| (s.at_ms, s.value.to_bits())).collect();
        got.insert(case, samples);
    }
    // A protobuf writer leaves out what equals zero, the negative zero with it.
    let zero = |bits: u64| if f64::from_bits(bits) == 0.0 { 0 } else { bits };
    let without_sign = |samples: Vec<(i64, u64)>| samples.into_iter().map(|(at, bits)| (at, zero(bits))).collect();
    let want: BTreeMap<String, Vec<(i64, u64)>> = written().into_iter().map(|(k, v)| (k, without_sign(v))).collect();
    assert!(got == want);
}

#[test]
fn second_encoding_as_its_own_encoder_writes_it() {
    let mut chunks = 0;
    for line in include_str!("../../tests/prometheus_wire/xor2.txt").lines().filter(|l| !l.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        let data: Vec<u8> =
            (0..words[2].len()).step_by(2).map(|i| u8::from_str_radix(&words[2][i..i + 2], 16).unwrap()).collect();
        let want: Vec<(i64, u64)> = words[3..]
            .iter()
            .map(|w| w.split_once(':').unwrap())
            .map(|(at, bits)| (at.parse().unwrap(), u64::from_str_radix(bits, 16).unwrap()))
            .filter(|(_, bits)| !f64::from_bits(*bits).is_nan())
            .collect();
        let mut got = Vec::new();
        assert_eq!(decode(XOR2, &data, ALL, &mut got), Ok(Decoded::Floats), "{} {}", words[0], words[1]);
        let got: Vec<(i64, u64)> = got.iter().map(|s| (s.at_ms, s.value.to_bits())).collect();
        assert_eq!(got, want, "{} {}", words[0], words[1]);
        chunks += 1;
        for length in 0..data.len() {
            // Cut short it is an error or, cut within the filling of the last byte, nothing else than samples.
            let _ = decode(XOR2, &data[..length], ALL, &mut Vec::new());
        }
    }
    assert_eq!(chunks, 40);
}

#[test]
fn other_encodings_are_told_apart() {
    for (encoding, want) in
        [(2, Decoded::Histograms), (6, Decoded::Histograms), (0, Decoded::Foreign), (99, Decoded::Foreign)]
    {
        assert_eq!(decode(encoding, &[0, 1, 2], ALL, &mut Vec::new()), Ok(want));
    }
}

#[test]
fn a_cut_chunk_is_damaged() {
    let data = encode(&[(1_000, 1.5), (2_000, 2.5), (3_000, f64::MIN_POSITIVE)]);
    for length in 0..data.len() {
        assert_eq!(decode(XOR, &data[..length], ALL, &mut Vec::new()), Err(Damaged), "{length}");
    }
    assert_eq!(decode(XOR, &[0, 0], ALL, &mut Vec::new()), Ok(Decoded::Floats));
    assert_eq!(decode(XOR2, &[0, 0], ALL, &mut Vec::new()), Ok(Decoded::Floats));
}

#[test]
fn only_the_range_is_kept() {
    let data = encode(&[(1_000, 1.0), (2_000, f64::from_bits(STALE)), (3_000, f64::NAN), (4_000, 4.0), (5_000, 5.0)]);
    let mut out = Vec::new();
    decode(XOR, &data, TimeRange { start_ms: 1_000, end_ms: 4_000 }, &mut out).unwrap();
    assert_eq!(out, [Sample { at_ms: 1_000, value: 1.0 }, Sample { at_ms: 4_000, value: 4.0 }]);
}

/// Bits from the most significant end.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    used: usize,
}

impl Writer {
    fn write(&mut self, value: u64, count: u32) {
        for i in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = (value >> i & 1) as u8;
            *self.bytes.last_mut().unwrap() |= bit << (7 - self.used % 8);
            self.used += 1;
        }
    }

    fn write_varint(&mut self, value: u64) {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(value, &mut bytes);
        for b in bytes {
            self.write(b.into(), 8);
        }
    }
}

/// A plain encoder of XOR chunks, for tests: it never reuses a window unless the new bits fit into it exactly as the
/// format allows.
fn encode(samples: &[(i64, f64)]) -> Vec<u8> {
    let mut w = Writer::default();
    w.write(samples.len() as u64, 16);
    let (mut last_at, mut last_bits, mut last_delta, mut window) = (0_i64, 0_u64, 0_i64, None::<(u32, u32)>);
    for (i, (at, value)) in samples.iter().enumerate() {
        let delta = at.wrapping_sub(last_at);
        match i {
            0 => w.write_varint((at << 1 ^ at >> 63).cast_unsigned()),
            1 => w.write_varint(delta.cast_unsigned()),
            _ => {
                let change = delta.wrapping_sub(last_delta);
                let fits = |width: u32| -((1 << (width - 1)) - 1) <= change && change <= 1 << (width - 1);
                match change {
                    0 => w.write(0, 1),
                    _ if fits(14) => {
                        w.write(0b10, 2);
                        w.write(change.cast_unsigned(), 14);
                    }
                    _ if fits(17) => {
                        w.write(0b110, 3);
                        w.write(change.cast_unsigned(), 17);
                    }
                    _ if fits(20) => {
                        w.write(0b1110, 4);
                        w.write(change.cast_unsigned(), 20);
                    }
                    _ => {
                        w.write(0b1111, 4);
                        w.write(change.cast_unsigned(), 64);
                    }
                }
            }
        }
        let bits = value.to_bits();
        let changed = bits ^ last_bits;
        let (leading, trailing) = (changed.leading_zeros().min(31), changed.trailing_zeros());
        match window {
            _ if i == 0 => w.write(bits, 64),
            _ if changed == 0 => w.write(0, 1),
            Some((l, t)) if leading >= l && trailing >= t => {
                w.write(0b10, 2);
                w.write(changed >> t, 64 - l - t);
            }
            _ => {
                let width = 64 - leading - trailing;
                w.write(0b11, 2);
                w.write(leading.into(), 5);
                w.write(u64::from(width) % 64, 6);
                w.write(changed >> trailing, width);
                window = Some((leading, trailing));
            }
        }
        (last_at, last_bits, last_delta) = (*at, bits, delta);
    }
    w.bytes
}

fn values() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), any::<u64>().prop_map(f64::from_bits), Just(42.0), (0..100_u32).prop_map(f64::from)]
}

fn steps() -> impl Strategy<Value = i64> {
    prop_oneof![Just(15_000_i64), 14_990..15_010_i64, 0..10_000_000_i64, Just(8_192), Just(8_193), Just(524_289)]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(start in -1_i64 << 50..1 << 50, rows in prop::collection::vec((steps(), values()), 0..300)) {
        let mut at = start;
        let samples: Vec<(i64, f64)> = rows.iter().map(|(step, v)| { at += step; (at, *v) }).collect();
        let mut out = Vec::new();
        prop_assert_eq!(decode(XOR, &encode(&samples), ALL, &mut out), Ok(Decoded::Floats));
        let got: Vec<(i64, u64)> = out.iter().map(|s| (s.at_ms, s.value.to_bits())).collect();
        let want: Vec<(i64, u64)> =
            samples.iter().filter(|(_, v)| !v.is_nan()).map(|(at, v)| (*at, v.to_bits())).collect();
        prop_assert_eq!(got, want);
    }

    #[test]
    fn no_bytes_make_it_panic(encoding in 0..7_i32, data in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(encoding, &data, ALL, &mut Vec::new());
    }
}
