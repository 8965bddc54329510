use super::*;

const ALL: TimeRange = TimeRange { start_ms: i64::MIN, end_ms: i64::MAX };

type Flat = Vec<(String, i64, f64)>;

fn run_in(text: &[u8], range: TimeRange, piece: usize) -> Result<(Flat, Parser), Problem> {
    let mut parser = Parser::new(range);
    let mut chunks = Vec::new();
    for bytes in text.chunks(piece.max(1)) {
        parser.feed(bytes, &mut chunks)?;
    }
    parser.finish()?;
    let mut out = Vec::new();
    for chunk in chunks {
        let labels: Vec<String> = chunk.labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
        out.extend(chunk.samples.iter().map(|s| (labels.join(","), s.at_ms, s.value)));
    }
    Ok((out, parser))
}

fn run(text: &str) -> Result<Flat, Problem> {
    run_in(text.as_bytes(), ALL, usize::MAX).map(|(out, _)| out)
}

const MATRIX: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[
    {"metric":{"__name__":"m","ns":"a\"\\\u00e9\ud83d\ude00\n","pod":"é"},"values":[[1700000000,"1"],[1700000015.25,"2.5"], [ 1700000030.1239 , "NaN" ],[1700000045,"+Inf"]],
     "histograms":[[1700000000,{"count":"1","buckets":[[0,"1","2","3"]]}],[1700000015,{}]]},
    {"values":[[1,"-Inf"],[-2.5,"9"],[2,"1e-3"]],"metric":{}},
    {"metric":{"only":"histograms"},"histogram":[1,{"sum":"1"}]},
    {"metric":{"z":"1"},"value":[17e8,"7"]}
]},"stats":{"a":[1,{"b":null}],"c":true},"warnings":["part \u001b[31mmissing"],"infos":["note"],"isPartial":false}
"#;

#[test]
fn an_answer_is_read_the_same_at_every_split() {
    let first = "ns=a\"\\é😀\n,pod=é";
    let want: Vec<(&str, i64, f64)> = vec![
        (first, 1_700_000_000_000, 1.0),
        (first, 1_700_000_015_250, 2.5),
        (first, 1_700_000_045_000, f64::INFINITY),
        ("", 1_000, f64::NEG_INFINITY),
        ("", 2_000, 0.001),
        ("z=1", 1_700_000_000_000, 7.0),
    ];
    let check = |got: (Flat, Parser)| {
        let flat: Vec<(&str, i64, f64)> = got.0.iter().map(|(l, t, v)| (l.as_str(), *t, *v)).collect();
        assert_eq!(flat, want);
        assert_eq!((got.1.samples, got.1.histograms), (6, 3));
        assert_eq!(got.1.notes, ["part [31mmissing"]);
    };
    for piece in 1..=MATRIX.len() {
        check(run_in(MATRIX.as_bytes(), ALL, piece).unwrap());
    }
    for at in 0..=MATRIX.len() {
        let (head, tail) = MATRIX.as_bytes().split_at(at);
        let (mut parser, mut chunks) = (Parser::new(ALL), Vec::new());
        parser.feed(head, &mut chunks).unwrap();
        parser.feed(tail, &mut chunks).unwrap();
        parser.finish().unwrap();
        assert_eq!(chunks.iter().map(|c| c.samples.len()).sum::<usize>(), 6, "split at {at}");
    }
}

#[test]
fn every_cut_is_noticed() {
    let text = MATRIX.trim_end();
    for at in 0..text.len() {
        let cut = run_in(&text.as_bytes()[..at], ALL, usize::MAX);
        assert!(matches!(cut, Err(Problem::Truncated)), "cut at {at}");
    }
}

#[test]
fn both_ends_of_the_range_are_inside() {
    let text = r#"{"status":"success","data":{"result":[{"metric":{},"values":[[1,"1"],[2,"2"],[3,"3"],[4,"4"]]}]}}"#;
    let (got, _) = run_in(text.as_bytes(), TimeRange { start_ms: 2_000, end_ms: 3_000 }, 7).unwrap();
    assert_eq!(got.iter().map(|s| s.1).collect::<Vec<_>>(), [2_000, 3_000]);
}

#[test]
fn long_series_come_in_bounded_pieces() {
    let values: Vec<String> = (0..10_000).map(|i| format!("[{i},\"{i}\"]")).collect();
    let text = format!(
        r#"{{"status":"success","data":{{"result":[{{"metric":{{"a":"b"}},"values":[{}]}}]}}}}"#,
        values.join(",")
    );
    let (mut parser, mut chunks) = (Parser::new(ALL), Vec::new());
    parser.feed(text.as_bytes(), &mut chunks).unwrap();
    parser.finish().unwrap();
    assert_eq!(chunks.iter().map(|c| c.samples.len()).collect::<Vec<_>>(), [4096, 4096, 1808]);
    assert!(chunks.iter().all(|c| Arc::ptr_eq(&c.labels, &chunks[0].labels)));
}

#[test]
fn errors_of_the_server_and_of_the_text() {
    let kind = |text: &str| run(text).unwrap_err();
    assert_eq!(
        kind(r#"{"status":"error","errorType":"timeout","error":"query \u001b timed\nout"}"#),
        Problem::Server { kind: "timeout".into(), message: "query timed out".into() }
    );
    assert_eq!(kind("\n<!doctype html>"), Problem::Page);
    assert_eq!(kind(""), Problem::Truncated);
    for (text, at) in [
        ("[]", 1),
        ("hello ", 5),
        ("{}", 2),
        (r#"{"status":"success"}x "#, 21),
        (r#"{"status" "success"}"#, 19),
        (r#"{"status":"success",}"#, 21),
        (r#"{"data":{"result":[[1,"2"]]}}"#, 20),
        (r#"{"data":{"result":[{"values":[[1,"x"]]}]}}"#, 36),
        (r#"{"data":{"result":[{"values":[["x","1"]]}]}}"#, 34),
        (r#"{"data":{"result":[{"values":[[1]]}]}}"#, 33),
        (r#"{"data":{"result":[{"values":[[1,"2","3"]]}]}}"#, 40),
        (r#"{"data":{"result":[{"metric":{"a":{}}}]}}"#, 35),
        ("{\"status\":\"a\nb\"}", 10),
        (r#"{"status":"\q"}"#, 14),
    ] {
        match kind(text) {
            Problem::Malformed { at: got, .. } => assert_eq!(got, at, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    let deep = format!(r#"{{"x":{}"#, "[".repeat(1000));
    assert!(matches!(kind(&deep), Problem::Malformed { .. }));
    let long = format!("{{\"{}", "x".repeat(TOKEN_CAP + 1));
    assert!(matches!(kind(&long), Problem::Malformed { .. }));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in r#"([\[\]{}:,"\\0-9eE.+-]|status|data|result|metric|values|success){0,60}"#) {
        let _ = run(&text);
    }
}
