//! Made from good ones: sections that are lost, doubled, cut, spliced, and what is changed inside of them.

use proptest::{
    prelude::RngExt as _,
    test_runner::{RngAlgorithm, TestRng},
};
use skillhost_e2e::component;

use super::{
    Named,
    strange::{exports, function, interface},
};

const SEED: [u8; 32] = *b"the same two hundred, every time";
pub(super) const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";

/// A section: its identifier and its content.
pub(super) type Section = (u8, Vec<u8>);

pub(super) fn leb(mut value: usize, to: &mut Vec<u8>) {
    while value > 0x7f {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// The sections of a good component.
pub(super) fn opened(component: &[u8]) -> Vec<Section> {
    let (mut rest, mut sections) = (&component[HEADER.len()..], vec![]);
    while let [id, after @ ..] = rest {
        let last = after.iter().position(|byte| byte & 0x80 == 0).expect("it is good");
        let size = after[..=last].iter().rev().fold(0, |size, byte| size << 7 | usize::from(byte & 0x7f));
        let (content, next) = after[last + 1..].split_at(size);
        sections.push((*id, content.to_vec()));
        rest = next;
    }
    sections
}

pub(super) fn sealed(sections: &[Section]) -> Vec<u8> {
    let mut component = HEADER.to_vec();
    for (id, content) in sections {
        component.push(*id);
        leb(content.len(), &mut component);
        component.extend_from_slice(content);
    }
    component
}
/// Good components, the small ones several times: a large one takes its time to compile.
fn good() -> Vec<Vec<Section>> {
    let record = "(type $r' (record (field \"name\" string) (field \"mark\" (option u8)))) (export $r \"r\" (type $r'))
        (type $v' (variant (case \"one\" $r) (case \"none\"))) (export $v \"v\" (type $v'))
        (type $e' (enum \"low\" \"high\")) (export $e \"e\" (type $e')) (type $f' (flags \"old\" \"new\")) (export $g \"g\" (type $f'))";
    let small = [
        function("", "(param \"a\" u8) (param \"b\" s64) (param \"c\" f32) (result bool)", "(param i32 i64 f32) (result i32)"),
        function(record, "(param \"v\" $v) (param \"e\" $e) (param \"g\" $g) (result $r)", "(param i32 i32 i32 i32 i32 i32 i32) (result i32)"),
        function("", "(param \"a\" (list (tuple char string))) (result (result (list u8) (error string)))", "(param i32 i32) (result i32)"),
        interface("acme:shop/catalog@1.2.0", &["add", "remove-all"]),
        exports(["word-count", "run", "stop"], &[]),
        function(
            "(import \"wasi:random/random@0.2.0\" (instance $s (export \"get-random-u64\" (func (result u64)))))
             (type $o' (resource (rep i32))) (export $o \"o\" (type $o'))",
            "(param \"a\" (own $o)) (result (option f64))",
            "(param i32) (result i32)",
        ),
    ];
    let small: Vec<_> = small.iter().map(|wat| opened(&wat::parse_str(wat).expect("it is good"))).collect();
    let large = ["plain.wasm", "handler.wasm", "text.wasm"].map(|name| opened(&component(name)));
    [small.clone(), small.clone(), small, large.into()].concat()
}

type Damage = fn(&mut Vec<Section>, &[Section], &mut TestRng) -> Option<Vec<u8>>;

/// What becomes of a component's sections, with another component at hand; or of the file, where that is none any more.
const DAMAGE: [(&str, Damage); 16] = [
    ("truncated", |sections, _, rng| {
        let mut file = sealed(sections);
        file.truncate(rng.random_range(..file.len()));
        Some(file)
    }),
    ("bits", |sections, _, rng| {
        let mut file = sealed(sections);
        for _ in 0..rng.random_range(1..8) {
            let at = rng.random_range(HEADER.len()..file.len());
            file[at] ^= 1 << rng.random_range(..8_u32);
        }
        Some(file)
    }),
    ("ended", |sections, _, rng| {
        sections.truncate(rng.random_range(..sections.len()));
        None
    }),
    // A section that says it is longer, up to what five bytes can say and more.
    ("length", |sections, _, rng| {
        let at = rng.random_range(..sections.len());
        let mut file = sealed(&sections[..at]);
        file.push(sections[at].0);
        file.extend(vec![0xff; rng.random_range(1..11)]);
        file.extend([rng.random_range(..0x80_u8)]);
        file.extend_from_slice(&sections[at].1);
        file.extend_from_slice(&sealed(&sections[at + 1..])[HEADER.len()..]);
        Some(file)
    }),
    ("swapped", |sections, _, rng| {
        let (a, b) = (rng.random_range(..sections.len()), rng.random_range(..sections.len()));
        sections.swap(a, b);
        None
    }),
    ("doubled", |sections, _, rng| {
        let (at, to) = (rng.random_range(..sections.len()), rng.random_range(..sections.len()));
        sections.insert(to, sections[at].clone());
        None
    }),
    ("removed", |sections, _, rng| {
        sections.remove(rng.random_range(..sections.len()));
        None
    }),
    ("renumbered", |sections, _, rng| {
        let at = rng.random_range(..sections.len());
        sections[at].0 = rng.random_range(..14);
        None
    }),
    ("spliced", |sections, other, rng| {
        let to = rng.random_range(..sections.len());
        sections.insert(to, other[rng.random_range(..other.len())].clone());
        None
    }),
    ("joined", |sections, other, _| {
        sections.extend_from_slice(other);
        None
    }),
    // Types and the functions that are lifted to them: another primitive type, or another kind of type.
    ("types", |sections, _, rng| {
        let content = any_of(sections, &[7, 8], rng)?;
        for _ in 0..rng.random_range(1..4) {
            let opcodes = |(_, byte): &(usize, &u8)| (0x40..0x80).contains(*byte);
            let at: Vec<_> = content.iter().enumerate().filter(opcodes).map(|(at, _)| at).collect();
            content[*at.get(rng.random_range(..at.len().max(1)))?] = rng.random_range(0x40..0x80);
        }
        None
    }),
    // Counts and indices are small numbers.
    ("numbers", |sections, _, rng| {
        let content = any_of(sections, &[2, 5, 6, 7, 8, 10, 11], rng)?;
        let at: Vec<_> =
            content.iter().enumerate().filter(|(_, byte)| **byte < 0x10).map(|(at, _)| at).collect();
        content[*at.get(rng.random_range(..at.len().max(1)))?] = rng.random_range(..0x10);
        None
    }),
    ("huge-number", |sections, _, rng| {
        let content = any_of(sections, &[2, 5, 6, 7, 8, 10, 11], rng)?;
        let at = rng.random_range(..content.len());
        content.splice(at..=at, [0xff, 0xff, 0xff, 0xff, 0x0f]);
        None
    }),
    // In names of imports and exports: signs that a name must not hold, and some that it may.
    ("names", |sections, _, rng| {
        let content = any_of(sections, &[10, 11], rng)?;
        let at: Vec<_> =
            content.iter().enumerate().filter(|(_, b)| b.is_ascii_graphic()).map(|(at, _)| at).collect();
        for _ in 0..rng.random_range(1..4) {
            content[*at.get(rng.random_range(..at.len().max(1)))?] =
                *b"-_A0 [:/@.#\0\xc3".get(rng.random_range(..13_usize))?;
        }
        None
    }),
    ("cut-inside", |sections, _, rng| {
        let at = rng.random_range(..sections.len());
        let keep = rng.random_range(..=sections[at].1.len());
        sections[at].1.truncate(keep);
        None
    }),
    ("wrapped", |sections, other, rng| {
        let deep = rng.random_range(1..40);
        let whole = (0..deep).fold(sealed(sections), |inner, _| sealed(&[(4, inner)]));
        sections.clear();
        sections.push((4, whole[..].to_vec()));
        sections.extend_from_slice(other);
        None
    }),
];

/// The content of a section of such a kind.
fn any_of<'a>(sections: &'a mut [Section], kinds: &[u8], rng: &mut TestRng) -> Option<&'a mut Vec<u8>> {
    let mut found: Vec<_> =
        sections.iter_mut().filter(|(id, content)| kinds.contains(id) && !content.is_empty()).collect();
    let n = rng.random_range(..found.len().max(1));
    (n < found.len()).then(|| &mut found.swap_remove(n).1)
}

/// So many, each with one to three kinds of damage, of which the last may be the end of all structure.
pub(super) fn mutated(count: usize) -> impl Iterator<Item = Named> {
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &SEED);
    let good = good();
    (0..count).map(move |n| {
        let pick = |rng: &mut TestRng| good[rng.random_range(..good.len())].clone();
        let (mut sections, other) = (pick(&mut rng), pick(&mut rng));
        // Each kind in turn, and more on top of some.
        let (name, damage) = DAMAGE[n % DAMAGE.len()];
        let mut file = damage(&mut sections, &other, &mut rng);
        while file.is_none() && !sections.is_empty() && rng.random_ratio(1, 4) {
            file = DAMAGE[rng.random_range(..DAMAGE.len())].1(&mut sections, &other, &mut rng);
        }
        (format!("{name}-{n}"), file.unwrap_or_else(|| sealed(&sections)))
    })
}
