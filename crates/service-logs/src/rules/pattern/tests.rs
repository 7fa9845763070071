//! Patterns as AWS documents them, and patterns that are none.

use proptest::prelude::*;

use super::*;

fn matches(pattern: &str, message: &str) -> bool {
    FilterPattern::parse(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}")).matches(message)
}

fn check(pattern: &str, yes: &[&str], no: &[&str]) {
    yes.iter().for_each(|message| assert!(matches(pattern, message), "{pattern} on {message}"));
    no.iter().for_each(|message| assert!(!matches(pattern, message), "{pattern} on {message}"));
}

#[test]
fn terms() {
    check("", &["", "anything"], &[]);
    check("\" \"", &["anything"], &[]);
    check("ERROR", &["[ERROR 400] BAD REQUEST"], &["error", "WARN"]);
    check("ERROR ARGUMENTS", &["ERROR: MISSING ARGUMENTS"], &["ERROR", "ARGUMENTS"]);
    check("?ERROR ?WARN", &["ERROR", "a WARN b"], &["INFO", ""]);
    check("ERROR -EXITING", &["ERROR 1"], &["ERROR 1: EXITING", "fine"]);
    check("\"INTERNAL SERVER ERROR\"", &["x INTERNAL SERVER ERROR"], &["INTERNAL ERROR SERVER"]);
    check("?ERROR REQUEST", &["a REQUEST"], &["an ERROR"]);
    check("-\"a b\"", &["b a"], &["xa by"]);
    check("\"say \\\"hi\\\"\"", &["say \"hi\""], &["say hi"]);
    check("%ERR[0-9]+%", &["ERR17"], &["ERR"]);
    check("/health", &["GET /health 200"], &["GET /"]);
}

#[test]
fn fields() {
    let line =
        "127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] \"GET /index.html HTTP/1.0\" 404 1534";
    for pattern in [
        "[ip, user, username, timestamp, request, status_code, bytes]",
        "[ip, user, username, timestamp, request, status_code = 404, bytes]",
        "[ip, user, username, timestamp, request = *html*, status_code = 4*, bytes > 1000]",
        "[..., status_code = 404, bytes]",
        "[ip = 127.0.0.1, ...]",
        "[ip != 127.0.0.2, ..., bytes >= 1534]",
        "[..., status_code = 404 || status_code = 410, bytes]",
        "[..., bytes > 1000 && bytes < 2000]",
        "[ip = %127\\.[0-9.]+%, ...]",
        "[..., request = \"GET /index.html HTTP/1.0\", s, b]",
    ] {
        check(pattern, &[line], &["", "9.9.9.9"]);
    }
    for pattern in
        ["[ip, user]", "[..., status_code = 5*, bytes]", "[ip = frank, ...]", "[..., bytes < 9]"]
    {
        check(pattern, &[], &[line]);
    }
    check("[w1=ERROR, w2]", &["ERROR x"], &["WARN x", "ERROR", "ERROR x y"]);
}

#[test]
fn members() {
    let line = r#"{"eventType":"UpdateTrail","sourceIPAddress":"111.111.111.111","arrayKey":
        ["value","another value"],"objectList":[{"name":"a","id":1},{"name":"b","id":2}],
        "SomeObject":null,"cluster.name":"c","count":-1.5e1,"flag":true,"requestParameters":
        {"traceId":"Hello"}}"#;
    for pattern in [
        r#"{ $.eventType = "UpdateTrail" }"#,
        "{ $.eventType = UpdateTrail }",
        r#"{ $.sourceIPAddress != 123.123.* }"#,
        r#"{ $.sourceIPAddress = 111.* }"#,
        r#"{ $.arrayKey[0] = "value" }"#,
        r#"{ $.arrayKey[*] = "another*" }"#,
        "{ $.objectList[1].id = 2 }",
        "{ $.objectList[*].id > 1 }",
        "{ $.SomeObject IS NULL }",
        "{ $.SomeOtherObject NOT EXISTS }",
        "{ $.requestParameters.traceId EXISTS }",
        "{ $.flag IS TRUE }",
        "{ $.count <= -15 }",
        "{ $.count = -15 }",
        "{ $['cluster.name'] = c }",
        "{ ($.eventType = x) || ($.objectList[0].name = a && $.flag IS TRUE) }",
        "{ $.eventType = %Update[A-Z]% }",
        "{$.eventType=UpdateTrail}",
    ] {
        check(pattern, &[line], &["", "UpdateTrail", "{"]);
    }
    for pattern in [
        "{ $.eventType = \"updatetrail\" }",
        "{ $.eventType != \"UpdateTrail\" }",
        "{ $.nothing != 1 }",
        "{ $.flag IS FALSE }",
        "{ $.objectList[*].id > 2 }",
        "{ $.objectList[9].id = 1 }",
        "{ $.flag IS TRUE && $.count > 0 }",
    ] {
        check(pattern, &[], &[line, "", "UpdateTrail", "{"]);
    }
}

#[test]
fn patterns_that_are_none() {
    for wrong in [
        "\"open",
        "%open",
        "{",
        "{}",
        "{ $.a }",
        "{ $.a = }",
        "{ $.a = 1",
        "{ a = 1 }",
        "[a",
        "[a,]",
        "[..., ...]",
        "[a = 1 && b = 2]",
        "{ $.a IS 1 }",
        "{ $.a < b }",
        "%(a)%",
        "%[%",
        "{ $.a = 1 } x",
        "a(b",
        "?",
        "{ $.a[x] = 1 }",
    ] {
        assert!(FilterPattern::parse(wrong).is_err(), "{wrong}");
    }
    let deep = format!("{{ {}$.a = 1{} }}", "(".repeat(400), ")".repeat(400));
    assert!(FilterPattern::parse(&deep).is_err());
}

/// What a glob means, by trying every way to read it.
fn slow_glob(pattern: &[char], value: &[char]) -> bool {
    match pattern.split_first() {
        None => value.is_empty(),
        Some(('*', rest)) => (0..=value.len()).any(|skip| slow_glob(rest, &value[skip..])),
        Some((c, rest)) => value.first() == Some(c) && slow_glob(rest, &value[1..]),
    }
}

proptest! {
    #[test]
    fn takes_any_text(pattern in "[\\[\\]{}()$.%?\"'=!<>|&* a-c0-9,-]{0,60}", message in ".{0,60}") {
        if let Ok(pattern) = FilterPattern::parse(&pattern) {
            let _ = pattern.matches(&message);
        }
    }

    #[test]
    fn a_quoted_phrase_is_found_where_it_is(
        phrase in "[a-z \\\\\"]{1,10}", before in ".{0,20}", behind in ".{0,20}"
    ) {
        prop_assume!(!phrase.trim().is_empty());
        let quoted = phrase.replace('\\', "\\\\").replace('"', "\\\"");
        let pattern = FilterPattern::parse(&format!("\"{quoted}\"")).unwrap();
        let message = format!("{before}{phrase}{behind}");
        prop_assert!(pattern.matches(&message));
        prop_assert_eq!(pattern.matches(&before), before.contains(&phrase));
    }

    #[test]
    fn globs_mean_what_they_say(pattern in "[ab*]{0,8}", value in "[ab]{0,10}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        let wanted = slow_glob(&chars(&pattern), &chars(&value));
        prop_assert_eq!(compare::glob(&pattern, &value), wanted);
    }

    #[test]
    fn members_compare_as_numbers(have in -100i32..100, wanted in -100i32..100) {
        let line = format!("{{\"n\":{have}}}");
        for (operator, holds) in [
            ("=", have == wanted), ("!=", have != wanted), ("<", have < wanted),
            ("<=", have <= wanted), (">", have > wanted), (">=", have >= wanted),
        ] {
            let pattern = format!("{{ $.n {operator} {wanted} }}");
            prop_assert_eq!(matches(&pattern, &line), holds);
        }
    }
}
