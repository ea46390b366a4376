//! Values to payloads, and payloads and events to values.

#![expect(clippy::unwrap_used, reason = "a test fails this way")]

use std::collections::BTreeMap;

use bennu_wire::{Cause, Payload, RawEvent, decode_event};
use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};

fn json_payload(text: &str) -> Payload {
    Payload::Json(RawValue::from_string(text.to_owned()).unwrap())
}

fn binary(bytes: &'static [u8]) -> Payload {
    Payload::Binary(Bytes::from_static(bytes))
}

// ---- from values ----------------------------------------------------------------------------------------------------

#[track_caller]
fn becomes<T: Serialize + ?Sized>(value: &T, expected: &str) {
    assert_eq!(Payload::new(value).unwrap(), json_payload(expected));
}

#[test]
fn values_become_json() {
    #[derive(Serialize)]
    struct Message<'a> {
        body: &'a str,
        to: Option<u8>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Change {
        Nothing,
        Name(&'static str),
        Size { w: u8 },
        Move(i8, i8),
    }
    #[derive(Serialize)]
    struct Meters(f64);

    becomes(
        &Message {
            body: "hé\n",
            to: None,
        },
        r#"{"body":"hé\n","to":null}"#,
    );
    becomes(&Change::Nothing, r#""nothing""#);
    becomes(&Change::Name("x"), r#"{"name":"x"}"#);
    becomes(&Change::Size { w: 1 }, r#"{"size":{"w":1}}"#);
    becomes(&Change::Move(1, -1), r#"{"move":[1,-1]}"#);
    becomes(&Meters(1.5), "1.5");
    becomes("text", r#""text""#);
    becomes(&'c', r#""c""#);
    becomes(&[1, 2, 3][..], "[1,2,3]");
    becomes(&(true, 7_u128, -7_i128, 1.0_f32), "[true,7,-7,1.0]");
    becomes(&None::<u8>, "null");
    becomes(&Some(3), "3");
    becomes(&f64::NAN, "null");
    becomes(&BTreeMap::from([(1, "a")]), r#"{"1":"a"}"#);
    becomes(&json!({"a": [null, {}]}), r#"{"a":[null,{}]}"#);
    becomes(&format_args!("{}-{}", 1, 2), r#""1-2""#);
}

#[test]
fn nothing_becomes_an_empty_object() {
    #[derive(Serialize)]
    struct Nothing;
    #[derive(Serialize)]
    struct Around(());

    becomes(&(), "{}");
    becomes(&Nothing, "{}");
    becomes(&Around(()), "{}");
    becomes(&Some(()), "{}");
    assert!(Payload::empty().is_empty());
    // Further in, it is what it always is.
    becomes(&[()], "[null]");
}

#[test]
fn bytes_at_the_top_become_binary() {
    #[derive(Serialize)]
    struct Image(Bytes);
    struct Borrowed<'a>(&'a [u8]);
    impl Serialize for Borrowed<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(self.0)
        }
    }

    let bytes = Bytes::from_static(&[0, 255]);
    let expected = binary(&[0, 255]);
    assert_eq!(Payload::new(&bytes).unwrap(), expected);
    assert_eq!(Payload::new(&Some(&bytes)).unwrap(), expected);
    assert_eq!(Payload::new(&Some(Image(bytes.clone()))).unwrap(), expected);
    assert_eq!(Payload::new(&Borrowed(&[0, 255])).unwrap(), expected);
    assert_eq!(Payload::new(&Bytes::new()).unwrap(), binary(b""));
    assert_eq!(Payload::from(bytes.clone()), expected);
    // Inside something else JSON has to do.
    becomes(&[bytes], "[[0,255]]");
}

#[test]
fn what_is_a_payload_already_stays_as_it_is() {
    let spaced = r#"{ "b" : 1.50, "a" : [ ] }"#;
    becomes(&json_payload(spaced), spaced);
    becomes(&*RawValue::from_string(spaced.to_owned()).unwrap(), spaced);
    becomes(
        &BTreeMap::from([("in", json_payload(spaced))]),
        &format!(r#"{{"in":{spaced}}}"#),
    );
    assert_eq!(Payload::new(&binary(b"x")).unwrap(), binary(b"x"));
    assert_eq!(
        Payload::from(RawValue::from_string("1".to_owned()).unwrap()),
        json_payload("1")
    );
}

#[test]
fn what_has_no_json_form_is_an_error() {
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("out of ink"))
        }
    }
    for (error, expected) in [
        (
            Payload::new(&Broken),
            "the value has no JSON form: out of ink",
        ),
        (
            Payload::new(&BTreeMap::from([((), 1)])),
            "the value has no JSON form: key must be a string",
        ),
    ] {
        let error = error.unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.is_unsupported()),
            (expected, false)
        );
    }
}

// ---- to values ------------------------------------------------------------------------------------------------------

#[derive(Debug, PartialEq, Deserialize)]
struct Params {
    name: String,
    #[serde(default)]
    age: u8,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Unit;

#[derive(Debug, PartialEq, Deserialize)]
struct Image(Bytes);

fn fails<T: DeserializeOwned + std::fmt::Debug>(payload: &Payload) -> String {
    let error = payload.decode::<T>().unwrap_err();
    assert_eq!(error.cause(), Cause::Payload);
    error.to_string()
}

#[test]
fn payloads_become_values() {
    let ana = Params {
        name: "ana".to_owned(),
        age: 0,
    };
    assert_eq!(
        json_payload(r#"{"name":"ana","vsn":"2.0.0"}"#).decode(),
        Ok(ana)
    );
    assert_eq!(json_payload("null").decode(), Ok(None::<Params>));
    assert_eq!(json_payload("[1]").decode(), Ok(Some([1])));
    assert_eq!(
        json_payload(r#"{"a":[1.5]}"#).decode(),
        Ok(json!({"a": [1.5]}))
    );
    assert_eq!(
        json_payload("[ 1 ]")
            .decode::<Box<RawValue>>()
            .unwrap()
            .get(),
        "[ 1 ]"
    );
    assert_eq!(json_payload("[ 1 ]").decode(), Ok(json_payload("[ 1 ]")));
    assert_eq!(
        json_payload(r#"{"a":{ }}"#).decode(),
        Ok(BTreeMap::from([("a".to_owned(), json_payload("{ }"))]))
    );
}

#[test]
fn bytes_become_bytes_and_nothing_else() {
    let payload = binary(&[0, 255]);
    let bytes = Bytes::from_static(&[0, 255]);
    assert_eq!(payload.decode(), Ok(bytes.clone()));
    assert_eq!(payload.decode(), Ok(Image(bytes.clone())));
    assert_eq!(payload.decode(), Ok(Some(Image(bytes))));
    assert_eq!(payload.decode(), Ok(payload.clone()));
    assert_eq!(
        fails::<Params>(&payload),
        "expected an object, found binary data"
    );
    for error in [fails::<u8>(&payload), fails::<Value>(&payload)] {
        assert!(
            error.starts_with("invalid type: byte array, expected"),
            "{error}"
        );
    }
    assert!(fails::<Box<RawValue>>(&payload).ends_with("expected any valid JSON value"));
}

#[test]
fn any_payload_will_do_for_nothing() {
    for payload in [
        Payload::empty(),
        json_payload("null"),
        json_payload(r#"{"a":1}"#),
        binary(b"x"),
    ] {
        assert_eq!(payload.decode(), Ok(()));
        assert_eq!(payload.decode(), Ok(Unit));
    }
}

#[test]
fn errors_say_what_is_wrong_without_names_of_ours() {
    for (payload, expected) in [
        ("{}", "missing field `name`"),
        (
            r#"{"name":1}"#,
            "invalid type: integer `1`, expected a string",
        ),
        (
            r#"{"name":"a","age":-1}"#,
            "invalid value: integer `-1`, expected u8",
        ),
        (r#"{"name":"a","name":"b"}"#, "duplicate field `name`"),
        ("null", "expected an object, found null"),
        ("true", "expected an object, found a boolean"),
        ("-1", "expected an object, found a number"),
        (r#""{}""#, "expected an object, found a string"),
        (r#"["ana",1]"#, "expected an object, found an array"),
    ] {
        assert_eq!(
            fails::<Params>(&json_payload(payload)),
            expected,
            "{payload}"
        );
    }
    let long = format!(r#"{{"name":"a","age":"{}"}}"#, "é".repeat(50_000));
    let error = fails::<Params>(&json_payload(&long));
    assert!(
        error.starts_with("invalid type: string \"ééé")
            && error.ends_with("é...")
            && error.len() <= 300,
        "{error}"
    );
}

// ---- events ---------------------------------------------------------------------------------------------------------

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum In {
    NewMsg { body: String },
    Typing,
    Params(Params),
    Level(u8),
    Image(Bytes),
    Wrapped(Image),
    Raw(Payload),
    Maybe(Option<u8>),
    Nothing(()),
    Move(u8, u8),
    Color(Color),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Color {
    Red,
    Rgb(u8, u8, u8),
}

#[test]
fn an_event_is_a_variant_by_its_name() {
    let any = [
        json_payload("{}"),
        json_payload("null"),
        json_payload("[1]"),
        binary(b"x"),
    ];
    for payload in any {
        assert_eq!(decode_event("typing", &payload), Ok(In::Typing));
        assert_eq!(decode_event("nothing", &payload), Ok(In::Nothing(())));
        assert_eq!(decode_event("raw", &payload), Ok(In::Raw(payload.clone())));
    }
    for (event, payload, expected) in [
        (
            "new_msg",
            r#"{"body":"hi","x":1}"#,
            In::NewMsg {
                body: "hi".to_owned(),
            },
        ),
        (
            "params",
            r#"{"name":"ana","age":7}"#,
            In::Params(Params {
                name: "ana".to_owned(),
                age: 7,
            }),
        ),
        ("level", "9", In::Level(9)),
        ("maybe", "null", In::Maybe(None)),
        ("maybe", "1", In::Maybe(Some(1))),
        ("move", "[1,2]", In::Move(1, 2)),
        ("color", r#""red""#, In::Color(Color::Red)),
        (
            "color",
            r#"{"rgb":[1,2,3]}"#,
            In::Color(Color::Rgb(1, 2, 3)),
        ),
    ] {
        assert_eq!(
            decode_event(event, &json_payload(payload)),
            Ok(expected),
            "{event} {payload}"
        );
    }
    let bytes = Bytes::from_static(b"png");
    assert_eq!(
        decode_event("image", &binary(b"png")),
        Ok(In::Image(bytes.clone()))
    );
    assert_eq!(
        decode_event("wrapped", &binary(b"png")),
        Ok(In::Wrapped(Image(bytes)))
    );
}

#[test]
fn what_does_not_fit_is_named() {
    let names = "`new_msg`, `typing`, `params`, `level`, `image`, `wrapped`, `raw`, `maybe`, `nothing`, `move`, `color`";
    for (event, payload, cause, expected) in [
        (
            "new_msg",
            "{}",
            Cause::Payload,
            "missing field `body`".to_owned(),
        ),
        (
            "new_msg",
            r#""hi""#,
            Cause::Payload,
            "expected an object, found a string".to_owned(),
        ),
        (
            "new_msg",
            r#"["hi"]"#,
            Cause::Payload,
            "expected an object, found an array".to_owned(),
        ),
        (
            "params",
            "null",
            Cause::Payload,
            "expected an object, found null".to_owned(),
        ),
        (
            "level",
            "300",
            Cause::Payload,
            "invalid value: integer `300`, expected u8".to_owned(),
        ),
        (
            "color",
            r#""blue""#,
            Cause::Payload,
            "unknown variant `blue`, expected `red` or `rgb`".to_owned(),
        ),
        (
            "NewMsg",
            "{}",
            Cause::Event,
            format!("unknown event `NewMsg`, expected one of {names}"),
        ),
        (
            "",
            "{}",
            Cause::Event,
            format!("unknown event ``, expected one of {names}"),
        ),
    ] {
        let error = decode_event::<In>(event, &json_payload(payload)).unwrap_err();
        assert_eq!(
            (error.to_string(), error.cause()),
            (expected, cause),
            "{event} {payload}"
        );
    }
    let error = decode_event::<In>("new_msg", &binary(b"x")).unwrap_err();
    assert_eq!(error.to_string(), "expected an object, found binary data");
    // The name is the client's, and may be long.
    let error = decode_event::<In>(&"é".repeat(500), &Payload::empty())
        .unwrap_err()
        .to_string();
    assert!(error.len() <= 300 && error.ends_with("`color`"), "{error}");
}

#[test]
fn channels_may_have_one_event_or_none() {
    #[derive(Debug, Deserialize)]
    enum One {
        Only,
    }
    #[derive(Debug, Deserialize)]
    enum None {}

    assert!(matches!(
        decode_event("Only", &Payload::empty()),
        Ok(One::Only)
    ));
    let error = decode_event::<One>("x", &Payload::empty()).unwrap_err();
    assert_eq!(error.to_string(), "unknown event `x`, expected `Only`");
    for error in [
        decode_event::<None>("x", &Payload::empty()).unwrap_err(),
        decode_event::<()>("x", &Payload::empty()).unwrap_err(),
    ] {
        assert_eq!(
            (error.to_string().as_str(), error.cause()),
            ("unknown event `x`, none is expected", Cause::Event)
        );
    }
}

#[test]
fn an_enum_may_take_whatever_it_has_no_name_for() {
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Open {
        Typing,
        #[serde(other)]
        Unknown,
    }
    assert_eq!(decode_event("typing", &Payload::empty()), Ok(Open::Typing));
    assert_eq!(decode_event("x", &binary(b"x")), Ok(Open::Unknown));
}

#[test]
fn what_is_no_enum_sees_event_and_payload() {
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(tag = "event", content = "payload", rename_all = "snake_case")]
    enum Tagged {
        Say(String),
        Quiet,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Newtype(RawEvent);

    for payload in [json_payload("[ 1 ]"), binary(b"x")] {
        let raw = RawEvent {
            event: "any thing".to_owned(),
            payload: payload.clone(),
        };
        assert_eq!(decode_event("any thing", &payload), Ok(raw.clone()));
        assert_eq!(decode_event("any thing", &payload), Ok(Newtype(raw)));
    }
    assert_eq!(
        decode_event("say", &json_payload(r#""hi""#)),
        Ok(Tagged::Say("hi".to_owned()))
    );
    assert_eq!(
        decode_event("quiet", &json_payload("null")),
        Ok(Tagged::Quiet)
    );
    assert_eq!(
        decode_event("e", &json_payload("[1]")),
        Ok(json!({"event": "e", "payload": [1]}))
    );
}
