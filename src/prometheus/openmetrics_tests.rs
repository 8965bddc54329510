use std::io::Write;

use super::*;

fn read(text: &str) -> Result<OpenMetricsFile, Error> {
    OpenMetricsFile::read(text.as_bytes(), "f.om")
}

async fn samples(file: &OpenMetricsFile, selector: &Selector) -> Vec<(String, i64, f64)> {
    let range = TimeRange { start_ms: i64::MIN, end_ms: i64::MAX };
    let mut stream = file.samples(selector, range).await.unwrap();
    let mut out = Vec::new();
    while let Some(chunk) = stream.recv().await {
        let chunk = chunk.unwrap();
        let labels: Vec<String> = chunk.labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
        out.extend(chunk.samples.iter().map(|s| (labels.join(","), s.at_ms, s.value)));
    }
    out.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.cmp(&b.1)));
    out
}

#[tokio::test]
async fn every_form_of_a_line() {
    let text = "# HELP m What it is.\n# TYPE m gauge\n# UNIT m bytes\n\
        m 1 1700000000\n\
        m 2 1700000001.5\n\
        m 3 1700000002250\n\
        m{} 4 1700000003 # {trace_id=\"x\"} 0.5 1700000003\n\
        m{a=\"x\",b=\"y\",} 5 1.7e9\n\
        m { a = \"q\\\"u}o\\\\t\\ne\" } +Inf -1\n\
        {\"m\",\"strange name\"=\"é\"} 7 0\r\n\
        \n\
        m{a=\"x\",b=\"y\"} NaN 1700000010\n\
        m{b=\"y\",a=\"x\"} 8 1600000000\n\
        # EOF\n\n";
    let file = read(text).unwrap();
    let want = [
        ("", 1_700_000_000_000, 1.0),
        ("", 1_700_000_001_500, 2.0),
        ("", 1_700_000_002_250, 3.0),
        ("", 1_700_000_003_000, 4.0),
        ("a=q\"u}o\\t\ne", -1_000, f64::INFINITY),
        ("a=x,b=y", 1_600_000_000_000, 8.0),
        ("a=x,b=y", 1_700_000_000_000, 5.0),
        ("strange name=é", 0, 7.0),
    ];
    let got = samples(&file, &Selector::metric("m")).await;
    let got: Vec<(&str, i64, f64)> = got.iter().map(|(l, t, v)| (l.as_str(), *t, *v)).collect();
    assert_eq!(got, want);
    assert_eq!(file.describe(), "f.om");
}

#[test]
fn a_bad_line_is_named() {
    for (line, problem) in [
        ("m", "a metric without a value"),
        ("m{a=\"x\"}", "a metric without a value"),
        ("m one 1700000000", "\"one\" is no value; a line is NAME VALUE TIMESTAMP, labels in braces behind NAME"),
        ("m 1", "no timestamp; only a history helps here, so each sample needs its time in seconds"),
        ("m 1 # {} 1", "no timestamp; only a history helps here, so each sample needs its time in seconds"),
        ("m 1 noon", "\"noon\" is no timestamp"),
        ("m 1 2 3", "\"3\" after the timestamp"),
        ("m{a=\"x} 1 2", "a label value without its closing quote"),
        ("m{a=\"x\" 1 2", "labels without the closing brace"),
        ("m{a=x} 1 2", "a label value without quotes"),
        ("m{a} 1 2", "the label \"a\" has no value"),
        ("m{a=\"1\",a=\"2\"} 1 2", "the label \"a\" twice"),
        ("m{a=\"1\" b=\"2\"} 1 2", "no comma between labels"),
        ("{a=\"1\"} 1 2", "labels without a metric name"),
        ("9m 1 2", "\"9m\" is no metric name"),
        ("m\u{7} 1 2", "\"m\" is no metric name"),
        ("# EOF\nm 1 2", "text after # EOF; was another file appended?"),
    ] {
        let number = 2 + line.matches('\n').count();
        let error = read(&format!("ok 1 1\n{line}\n")).unwrap_err();
        assert_eq!(error.to_string(), format!("f.om:{number}: {problem}"), "{line}");
    }
    let error = OpenMetricsFile::read(&b"ok 1 1\nm{a=\"\xff\"} 1 2\n"[..], "f.om").unwrap_err();
    assert_eq!(error.to_string(), "f.om:2: not UTF-8; is it OpenMetrics text, or that packed by gzip?");
    let error = read(&"m".repeat(LINE_CAP + 10)).unwrap_err();
    assert_eq!(error.to_string(), "f.om:1: longer than 1 MiB");
    assert!(OpenMetricsFile::open(Path::new("/no/such/file")).unwrap_err().to_string().contains("/no/such/file"));
}

#[tokio::test]
async fn gzip_is_unpacked_also_in_parts() {
    let mut bytes = Vec::new();
    for part in ["m 1 1\n", "m 2 2\n# EOF\n"] {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part.as_bytes()).unwrap();
        bytes.extend(encoder.finish().unwrap());
    }
    let file = OpenMetricsFile::read(&bytes[..], "f.om.gz").unwrap();
    let got = samples(&file, &Selector::metric("m")).await;
    assert_eq!(got, [(String::new(), 1_000, 1.0), (String::new(), 2_000, 2.0)]);
    let cut = OpenMetricsFile::read(&bytes[..bytes.len() - 10], "f.om.gz").unwrap_err();
    assert!(matches!(cut, Error::File { .. }), "{cut}");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "([a-z{}=\",# 0-9.\\\\\n]|EOF){0,80}") {
        let _ = read(&text);
    }
}
