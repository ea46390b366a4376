//! Both text formats.

use bennu_wire::{Broadcast, Cause, Frame, Kind, NameRef, Outgoing, Payload, Ref, Serializer};
use serde_json::value::RawValue;

use super::{decode, encode, push, reply};

fn json(text: &str) -> Payload {
    Payload::Json(RawValue::from_string(text.to_owned()).unwrap())
}

#[track_caller]
fn sent(serializer: Serializer, outgoing: &Outgoing<'_>, expected: &str) {
    let (kind, bytes) = encode(serializer, outgoing).unwrap();
    assert_eq!(
        (kind, str::from_utf8(&bytes).unwrap()),
        (Kind::Text, expected)
    );
}

#[test]
fn v2_reads_arrays_of_five_or_more() {
    for (text, expected) in [
        (r#"[null,null,"t","e",{"m":1}]"#, r#"null null t e {"m":1}"#),
        (r#"["1","2","t","e",{},"more",[]]"#, r#""1" "2" t e {}"#),
        (
            r#" [ "1" , 2 , "t" , "e" , { "m" : 1 } ] "#,
            r#""1" 2 t e { "m" : 1 }"#,
        ),
        (
            r#"["5",8,"room:a","echo","strpayload"]"#,
            r#""5" 8 room:a echo "strpayload""#,
        ),
        (
            r#"[{"a":1},[true],"t","e",null]"#,
            r#"{"a":1} [true] t e null"#,
        ),
        (r#"[1,2,42,null,7]"#, "1 2 42 null 7"),
        (
            r#"["\u0031","\n","room:\u0061","\"\\\/",{}]"#,
            r#""1" "\n" room:a "\/ {}"#,
        ),
        (
            r#"["1","2","room:café","🚀",{"x":"π\u2028"}]"#,
            r#""1" "2" room:café 🚀 {"x":"π\u2028"}"#,
        ),
        (r#"["1","2","\ud83d\ude80","e",{}]"#, r#""1" "2" 🚀 e {}"#),
        (r#"["1","2","","",""]"#, r#""1" "2"   """#),
        (
            r#"["1","2","t","e",{"a":1,"a":2}]"#,
            r#""1" "2" t e {"a":1,"a":2}"#,
        ),
    ] {
        assert_eq!(
            decode(Serializer::V2, text).as_deref(),
            Ok(expected),
            "{text}"
        );
    }
}

#[test]
fn v2_refuses_what_is_no_array_of_five() {
    for text in [
        r#"["1","2","t","e"]"#,
        "[]",
        "{}",
        r#"{"topic":"t"}"#,
        "null",
        "1",
        r#""text""#,
        "true",
    ] {
        assert_eq!(
            decode(Serializer::V2, text).unwrap_err().cause(),
            Cause::Shape,
            "{text}"
        );
    }
}

#[test]
fn v1_reads_objects_in_any_order() {
    for (text, expected) in [
        (
            r#"{"topic":"t","event":"e","payload":{"m":1},"ref":null}"#,
            r#"null null t e {"m":1}"#,
        ),
        (
            r#"{"ref":"1","payload":null,"event":"e","topic":"t"}"#,
            r#"null "1" t e null"#,
        ),
        (
            r#"{"topic":"t","event":"e","payload":"s","ref":1,"join_ref":"3"}"#,
            r#""3" 1 t e "s""#,
        ),
        (
            r#"{"topic":"t","event":"e","payload":{},"ref":"1","join_ref":null,"x":[{}]}"#,
            r#"null "1" t e {}"#,
        ),
        (
            r#"{"\u0074opic":"t","event":"e","payload":{},"ref":"1"}"#,
            r#"null "1" t e {}"#,
        ),
        (
            r#"{"topic":null,"event":7,"payload":{},"ref":null}"#,
            "null null null 7 {}",
        ),
        (
            r#"{"topic":"t","topic":"u","event":"e","payload":1,"payload":2,"ref":"1","ref":"2"}"#,
            r#"null "2" u e 2"#,
        ),
    ] {
        assert_eq!(
            decode(Serializer::V1, text).as_deref(),
            Ok(expected),
            "{text}"
        );
    }
}

#[test]
fn v1_refuses_what_lacks_a_member() {
    let whole = [
        r#""topic":"t""#,
        r#""event":"e""#,
        r#""payload":{}"#,
        r#""ref":null"#,
    ];
    for missing in 0..whole.len() {
        let rest: Vec<_> = whole
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != missing)
            .map(|(_, it)| *it)
            .collect();
        let error = decode(Serializer::V1, &format!("{{{}}}", rest.join(","))).unwrap_err();
        assert_eq!(error.cause(), Cause::Shape, "{rest:?}");
        assert!(error.to_string().starts_with("missing field"), "{error}");
    }
    for text in ["[]", r#"["1","2","t","e",{}]"#, "null", "1", r#""t""#] {
        assert_eq!(
            decode(Serializer::V1, text).unwrap_err().cause(),
            Cause::Shape,
            "{text}"
        );
    }
}

#[test]
fn v1_looks_at_no_opcode() {
    let text = r#"{"topic":"t","event":"e","payload":{},"ref":"1"}"#;
    let (a, b) = (Frame::Text(text), Frame::Binary(text.as_bytes()));
    assert_eq!(Serializer::V1.decode(a), Serializer::V1.decode(b));
}

#[test]
fn pushes_are_written_without_whitespace() {
    let (five, payload) = (Ref::text("5"), json(r#"{"m":1}"#));
    let of_t = push([&five, Ref::null()], "t", "e", &payload);
    sent(Serializer::V2, &of_t, r#"["5",null,"t","e",{"m":1}]"#);
    sent(
        Serializer::V1,
        &of_t,
        r#"{"topic":"t","event":"e","payload":{"m":1},"ref":null}"#,
    );

    let close = push([&five, &five], "t", "phx_close", &payload);
    sent(
        Serializer::V2,
        &close,
        r#"["5","5","t","phx_close",{"m":1}]"#,
    );
    sent(
        Serializer::V1,
        &close,
        r#"{"topic":"t","event":"phx_close","payload":{"m":1},"ref":"5"}"#,
    );
}

#[test]
fn replies_carry_status_and_response() {
    let (five, eight) = (Ref::text("5"), Ref::parse("8").unwrap());
    for (response, status) in [
        ("{}", "ok"),
        ("null", "error"),
        (r#""s""#, "weird"),
        ("[1]", "ok"),
    ] {
        let response = json(response);
        let text = response.as_json().unwrap();
        let outgoing = reply([&five, &eight], "room:a", status, &response);
        let payload = format!(r#"{{"status":"{status}","response":{text}}}"#);
        sent(
            Serializer::V2,
            &outgoing,
            &format!(r#"["5",8,"room:a","phx_reply",{payload}]"#),
        );
        let v1 = format!(r#"{{"topic":"room:a","event":"phx_reply","payload":{payload},"ref":8}}"#);
        sent(Serializer::V1, &outgoing, &v1);
    }
}

#[test]
fn broadcasts_have_no_refs() {
    let broadcast = Broadcast::new("room:a", "bced", json(r#"{"m":1}"#));
    let outgoing = Outgoing::Broadcast(&broadcast);
    sent(
        Serializer::V2,
        &outgoing,
        r#"[null,null,"room:a","bced",{"m":1}]"#,
    );
    sent(
        Serializer::V1,
        &outgoing,
        r#"{"topic":"room:a","event":"bced","payload":{"m":1},"ref":null}"#,
    );
}

#[test]
fn only_what_must_be_escaped_is() {
    let names = [
        ("a/b", r#""a/b""#),
        ("café π 🚀 \u{2028}\u{7f}", "\"café π 🚀 \u{2028}\u{7f}\""),
        ("\"\\", r#""\"\\""#),
        ("\n\r\t\u{8}\u{c}\0\u{1f}", r#""\n\r\t\b\f\u0000\u001f""#),
    ];
    for (name, escaped) in names {
        let broadcast = Broadcast::new(name, name, json("{}"));
        sent(
            Serializer::V2,
            &Outgoing::Broadcast(&broadcast),
            &format!("[null,null,{escaped},{escaped},{{}}]"),
        );
    }
}

#[test]
fn names_that_are_no_text_go_out_as_they_came() {
    let raw = RawValue::from_string(r#"{"a":[1]}"#.to_owned()).unwrap();
    let (join_ref, response) = (Ref::null(), json("{}"));
    let (r#ref, topic) = (join_ref, NameRef::Json(&raw));
    let reply = Outgoing::Reply {
        join_ref,
        r#ref,
        topic,
        status: "error",
        response: &response,
    };
    sent(
        Serializer::V2,
        &reply,
        r#"[null,null,{"a":[1]},"phx_reply",{"status":"error","response":{}}]"#,
    );
}
