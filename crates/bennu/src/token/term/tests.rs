use std::collections::{BTreeMap, HashMap};

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let hex: String = hex.split_whitespace().collect();
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn atom(name: &str) -> Term {
    Term::Atom(name.into())
}

fn int(integer: i128) -> Term {
    Term::Integer(integer)
}

/// Both ways.
#[track_caller]
fn check(term: Term, hex: &str) {
    assert_eq!(term.encode().unwrap(), bytes(hex), "{term:?}");
    assert_eq!(Term::decode(&bytes(hex)), Ok(term));
}

#[track_caller]
fn check_read(hex: &str, expected: Result<Term, &str>) {
    let read = Term::decode(&bytes(hex)).map_err(|error| error.to_string());
    assert_eq!(read, expected.map_err(str::to_owned), "{hex}");
}

#[test]
fn terms_have_the_bytes_that_erlang_gives_them() {
    check(int(0), "83 61 00");
    check(int(255), "83 61 ff");
    check(int(256), "83 62 00000100");
    check(int(-1), "83 62 ffffffff");
    check(int(i32::MAX.into()), "83 62 7fffffff");
    check(int(i32::MIN.into()), "83 62 80000000");
    check(int(1 << 31), "83 6e 04 00 00000080");
    check(int(-(1 << 31) - 1), "83 6e 04 01 01000080");
    check(int(u64::MAX.into()), "83 6e 08 00 ffffffffffffffff");
    check(int(1 << 64), "83 6e 09 00 000000000000000001");
    check(
        int(i128::MAX),
        "83 6e 10 00 ffffffffffffffffffffffffffffff7f",
    );
    check(
        int(i128::MIN),
        "83 6e 10 01 00000000000000000000000000000080",
    );
    check(Term::Float(1.5), "83 46 3ff8000000000000");
    check(atom("nil"), "83 77 03 6e696c");
    check(atom(""), "83 77 00");
    check(atom("ÿ"), "83 77 02 c3bf");
    check(
        atom(&"é".repeat(200)),
        &format!("83 76 0190 {}", "c3a9".repeat(200)),
    );
    check(Term::text("u1"), "83 6d 00000002 7531");
    check(Term::Binary(vec![0, 255]), "83 6d 00000002 00ff");
    check(Term::List(vec![]), "83 6a");
    check(Term::List(vec![int(1), int(255)]), "83 6b 0002 01ff");
    check(
        Term::List(vec![int(1), int(256)]),
        "83 6c 00000002 6101 6200000100 6a",
    );
    check(
        Term::List(vec![Term::text("")]),
        "83 6c 00000001 6d00000000 6a",
    );
    check(Term::Tuple(vec![]), "83 68 00");
    check(
        Term::Tuple(vec![atom("ok"), int(1)]),
        "83 68 02 77026f6b 6101",
    );
    check(
        Term::Tuple(vec![int(7); 256]),
        &format!("83 69 00000100 {}", "6107".repeat(256)),
    );
    check(
        Term::Map(vec![(Term::text("a"), int(1)), (int(2), Term::Map(vec![]))]),
        "83 74 00000002 6d0000000161 6101 6102 7400000000",
    );
}

#[test]
fn a_long_list_of_bytes_is_an_ordinary_list() {
    let list = Term::List(vec![int(7); 20_000]);
    assert_eq!(list.encode().unwrap()[1], tag::STRING);
    let items = std::iter::repeat_n(0_u8, 65_536);
    let mut out = Vec::new();
    encode::put_list(
        &mut out,
        &items.map(|it| int(it.into())).collect::<Vec<_>>(),
        0,
    )
    .unwrap();
    assert_eq!(out[0], tag::LIST);
}

#[test]
fn other_forms_of_the_same_are_read() {
    check_read("83 64 0002 6f6b", Ok(atom("ok")));
    check_read("83 64 0001 ff", Ok(atom("ÿ")));
    check_read("83 73 02 6f6b", Ok(atom("ok")));
    check_read("83 76 0002 6f6b", Ok(atom("ok")));
    check_read("83 6e 01 00 05", Ok(int(5)));
    check_read("83 6e 00 00", Ok(int(0)));
    check_read("83 6f 00000001 01 05", Ok(int(-5)));
    check_read("83 69 00000001 6105", Ok(Term::Tuple(vec![int(5)])));
    check_read("83 6c 00000000 6a", Ok(Term::List(vec![])));
    // 61 05 in zlib's format: stored with a wrong checksum and with the right one, and deflated.
    check_read("83 50 00000002 7801 01 0200 fdff 6105 00c90067", Ok(int(5)));
    check_read(
        "83 50 00000002 7801 01 0200 fdff 6105 00c90068",
        Err("the compressed term doesn't inflate to its size"),
    );
    check_read("83 50 00000002 789c 4b64 0500 00c90067", Ok(int(5)));
}

#[test]
fn what_is_no_plain_term_is_refused() {
    const ENDS: Result<Term, &str> = Err("the term ends too early");
    check_read("", Err("a term begins with 131"));
    check_read("82 61 01", Err("a term begins with 131"));
    check_read("83", ENDS);
    check_read("83 61", ENDS);
    check_read("83 62 0000", ENDS);
    check_read("83 46 00", ENDS);
    check_read("83 77 05 61", ENDS);
    check_read("83 6d ffffffff 61", ENDS);
    check_read("83 6c ffffffff 61", ENDS);
    check_read("83 69 ffffffff", ENDS);
    check_read("83 74 ffffffff", ENDS);
    check_read("83 6f ffffffff 00 01", ENDS);
    check_read("83 6b ffff 00", ENDS);
    check_read("83 50 0000", ENDS);
    check_read("83 61 01 00", Err("there are bytes behind the term"));
    check_read(
        "83 46 7ff0000000000000",
        Err("a float is infinite or not a number"),
    );
    check_read(
        "83 46 7ff8000000000000",
        Err("a float is infinite or not a number"),
    );
    check_read("83 77 01 ff", Err("an atom isn't in UTF-8"));
    check_read(
        &format!("83 64 0100 {}", "61".repeat(256)),
        Err("an atom has more than 255 characters"),
    );
    check_read("83 6c 00000001 6101 6102", Err("a list is improper"));
    let many_bits = Err("an integer has more than 128 bits");
    check_read(
        &format!("83 6e 11 00 {}", "01".repeat(17)),
        many_bits.clone(),
    );
    check_read(
        &format!("83 6e 10 00 {}", "ff".repeat(16)),
        many_bits.clone(),
    );
    check_read(&format!("83 6e 10 01 {}", "ff".repeat(16)), many_bits);
    for (tag, name) in [
        ("4d", 77),
        ("58", 88),
        ("5a", 90),
        ("70", 112),
        ("71", 113),
        ("79", 121),
        ("63", 99),
        ("52", 82),
    ] {
        check_read(
            &format!("83 {tag} 00000000"),
            Err(&format!("terms with tag {name} aren't taken")),
        );
    }
    check_read("83 68 01 83 61 01", Err("terms with tag 131 aren't taken"));
    check_read(
        "83 68 01 50 00000002",
        Err("terms with tag 80 aren't taken"),
    );
}

#[test]
fn compressed_terms_are_bounded() {
    check_read(
        "83 50 00010001 00",
        Err("the inflated term has more than 65,536 bytes"),
    );
    check_read(
        "83 50 ffffffff 00",
        Err("the inflated term has more than 65,536 bytes"),
    );
    let wrong = Err("the compressed term doesn't inflate to its size");
    check_read("83 50 00000003 789c 4b64 0500 00c90067", wrong.clone());
    check_read("83 50 00000001 789c 4b64 0500 00c90067", wrong.clone());
    check_read("83 50 00000002 ffff", wrong);
}

#[test]
fn terms_nest_64_deep() {
    let nested = |depth| (0..depth).fold(Term::List(vec![]), |term, _| Term::List(vec![term]));
    let most = nested(NESTING_MAX);
    assert_eq!(Term::decode(&most.encode().unwrap()), Ok(most));
    let error = TermError::from("the term nests more than 64 deep");
    assert_eq!(nested(NESTING_MAX + 1).encode(), Err(error));
    for hex in ["6801", "6c00000001", "7400000001", "740000000161016101"] {
        check_read(
            &format!("83{}", hex.repeat(5000)),
            Err(match hex {
                "740000000161016101" => "there are bytes behind the term",
                _ => "the term nests more than 64 deep",
            }),
        );
    }
}

#[test]
fn terms_that_are_too_large_are_refused() {
    let bytes = |count| Term::Binary(vec![0; count]);
    let most = bytes(TERM_BYTES_MAX - 6);
    assert_eq!(Term::decode(&most.encode().unwrap()), Ok(most));
    assert!(bytes(TERM_BYTES_MAX - 5).encode().is_err());
    let long = [&[131, 107, 255, 255][..], &[0; 65_535]].concat();
    assert!(Term::decode(&long).is_err());
    assert!(atom(&"a".repeat(256)).encode().is_err());
    assert!(Term::Float(f64::INFINITY).encode().is_err());
}

#[test]
fn no_bytes_make_the_reader_panic() {
    // A fixed sequence of mutations of a term with everything in it.
    let mut state = 7_u64;
    let mut random = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize % below
    };
    let whole = everything().encode().unwrap();
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        bytes.truncate(1 + random(bytes.len()));
        // What can be read can be written, and stays the same.
        if let Ok(term) = Term::decode(&bytes) {
            assert_eq!(Term::decode(&term.encode().unwrap()), Ok(term));
        }
    }
}

fn everything() -> Term {
    Term::Map(vec![
        (Term::text("key"), Term::List(vec![int(1), int(2)])),
        (atom("nil"), Term::List(vec![atom("true"), int(-70_000)])),
        (
            Term::Float(0.5),
            Term::Tuple(vec![atom("false"), Term::List(vec![])]),
        ),
        (Term::Tuple(vec![]), Term::Binary(vec![255, 0])),
        (
            int(1 << 100),
            Term::Map(vec![(int(-(1 << 100)), atom("a.b"))]),
        ),
    ])
}

#[test]
fn terms_pass_through_serde_unchanged() {
    assert_eq!(Term::new(&everything()), Ok(everything()));
    assert_eq!(everything().read(), Ok(everything()));

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Around {
        result: Term,
        more: Option<Term>,
        rest: Vec<Term>,
    }
    let around = || Around {
        result: Term::Tuple(vec![atom("ok"), everything()]),
        more: None,
        rest: vec![atom("a"), Term::text("b")],
    };
    let term = Term::new(&around()).unwrap();
    assert_eq!(
        term,
        Term::Map(vec![
            (Term::text("result"), around().result),
            (Term::text("more"), atom("nil")),
            (Term::text("rest"), Term::List(around().rest)),
        ])
    );
    assert_eq!(term.read(), Ok(around()));
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(f64),
    Line(i8, i8),
    Square { side: u128 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Id(u64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pair(bool, char);

/// To a term and back.
#[track_caller]
fn check_value<T>(value: T, term: Term)
where
    T: Serialize + DeserializeOwned + fmt::Debug + PartialEq,
{
    assert_eq!(Term::new(&value), Ok(term.clone()));
    assert_eq!(term.read(), Ok(value));
}

#[test]
fn values_are_terms_that_elixir_would_choose() {
    check_value(true, atom("true"));
    check_value((), atom("nil"));
    check_value(None::<u8>, atom("nil"));
    check_value(Some(7), int(7));
    check_value(i128::MIN, int(i128::MIN));
    check_value(u64::MAX, int(u64::MAX.into()));
    check_value(-1_i8, int(-1));
    check_value(0.5_f32, Term::Float(0.5));
    check_value('é', Term::text("é"));
    check_value(String::from("text"), Term::text("text"));
    check_value(bytes::Bytes::from_static(b"\xff"), Term::Binary(vec![255]));
    check_value(vec![1_u8, 2], Term::List(vec![int(1), int(2)]));
    check_value(
        (1, String::new()),
        Term::Tuple(vec![int(1), Term::text("")]),
    );
    check_value(Unit, atom("nil"));
    check_value(Id(7), int(7));
    check_value(
        Pair(false, 'x'),
        Term::Tuple(vec![atom("false"), Term::text("x")]),
    );
    check_value(HashMap::from([(1, 2)]), Term::Map(vec![(int(1), int(2))]));
    check_value(
        BTreeMap::from([(String::from("a"), 1.0)]),
        Term::Map(vec![(Term::text("a"), Term::Float(1.0))]),
    );
}

#[test]
fn variants_are_texts_or_maps_of_one_entry() {
    let of = |name, value| Term::Map(vec![(Term::text(name), value)]);
    check_value(Shape::Point, Term::text("Point"));
    check_value(Shape::Circle(1.0), of("Circle", Term::Float(1.0)));
    check_value(
        Shape::Line(1, -1),
        of("Line", Term::Tuple(vec![int(1), int(-1)])),
    );
    check_value(
        Shape::Square { side: 1 << 70 },
        of("Square", of("side", int(1 << 70))),
    );
}

#[test]
fn what_elixir_writes_otherwise_is_read() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct User {
        id: u64,
        name: Option<String>,
        avatar: Vec<u8>,
    }
    let user = Term::Map(vec![
        (atom("__struct__"), atom("Elixir.MyApp.User")),
        (atom("id"), int(7)),
        (atom("name"), atom("nil")),
        (atom("avatar"), Term::Binary(vec![255])),
    ]);
    let expected = User {
        id: 7,
        name: None,
        avatar: vec![255],
    };
    assert_eq!(user.read(), Ok(expected));
    assert_eq!(atom("Point").read(), Ok(Shape::Point));
    assert_eq!(atom("ok").read(), Ok(String::from("ok")));
    assert_eq!(int(1).read(), Ok(1.0));
    assert_eq!(Term::Tuple(vec![int(1)]).read(), Ok(vec![1]));
    assert_eq!(Term::List(vec![int(1), int(2)]).read(), Ok((1, 2)));
}

#[test]
fn data_of_another_type_is_an_error() {
    assert!(Term::text("1").read::<u64>().is_err());
    assert!(int(-1).read::<u64>().is_err());
    assert!(int(300).read::<u8>().is_err());
    assert!(atom("nil").read::<String>().is_err());
    assert!(Term::Binary(vec![255]).read::<String>().is_err());
    assert!(Term::Tuple(vec![int(1), int(2)]).read::<(u8,)>().is_err());
    assert!(Term::text("Triangle").read::<Shape>().is_err());
    assert!(Term::text("Circle").read::<Shape>().is_err());
    assert!(Term::Map(vec![]).read::<Shape>().is_err());
    assert!(
        Term::Map(vec![(Term::text("Point"), int(1))])
            .read::<Shape>()
            .is_err()
    );
    assert!(Term::new(&u128::MAX).is_err());
}
