use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("keyvalue.sqlite"));
    (folder, store)
}

const BOUNDS: KeyValueBounds = KeyValueBounds { total: 60, value: 20, keys: 5 };

#[derive(Debug, Clone)]
enum Step {
    Set(String, String, usize),
    Delete(String, String),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (bucket, key) = (|| "[ab]", || "[k-q]");
    let step = prop_oneof![
        6 => (bucket(), key(), 0..25_usize).prop_map(|(b, k, n)| Step::Set(b, k, n)),
        3 => (bucket(), key()).prop_map(|(b, k)| Step::Delete(b, k)),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The store against a map that keeps its own count.
    #[test]
    fn it_is_a_bounded_map_a_bucket(steps in steps()) {
        let (_folder, mut store) = store();
        let mut model: BTreeMap<(String, String), usize> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Set(bucket, key, n) => {
                    let mut next = model.clone();
                    next.insert((bucket.clone(), key.clone()), n);
                    let own: Vec<_> = next.iter().filter(|((b, _), _)| *b == bucket).collect();
                    let bytes: usize = own.iter().map(|((_, key), n)| key.len() + **n).sum();
                    let fits = n <= 20 && bytes <= 60 && own.len() <= 5;
                    let set = store.set(&bucket, &key, &vec![b'x'; n], &BOUNDS);
                    prop_assert_eq!(set.is_ok(), fits, "{:?}", set);
                    if fits {
                        model = next;
                    }
                }
                Step::Delete(bucket, key) => {
                    store.delete(&bucket, &key).unwrap();
                    model.remove(&(bucket, key));
                }
                Step::Reopen => store = Store::new(store.path.clone()),
            }
            for bucket in ["a", "b"] {
                let mut keys = store.keys(bucket, None).unwrap().0;
                keys.sort();
                let own: Vec<_> = model.keys().filter(|(b, _)| b == bucket).map(|(_, k)| k.clone()).collect();
                prop_assert_eq!(keys, own);
            }
        }
        for ((bucket, key), n) in &model {
            prop_assert_eq!(store.get(bucket, key).unwrap().map(|value| value.len()), Some(*n));
            prop_assert!(store.exists(bucket, key).unwrap());
        }
    }
}

#[test]
fn a_long_listing_comes_in_pages() {
    let (_folder, store) = store();
    let bounds = KeyValueBounds { keys: 10_000, ..KeyValueBounds::default() };
    store
        .with(|db| {
            let change = db.transaction().unwrap();
            for n in 0..PAGE + 1 {
                change
                    .execute(
                        "INSERT INTO entries (bucket, key, value) VALUES ('a', ?1, x'')",
                        [format!("k{n:05}")],
                    )
                    .unwrap();
            }
            change.commit().map_err(failed)
        })
        .unwrap();
    store.set("b", "other", b"", &bounds).unwrap();
    let (first, cursor) = store.keys("a", None).unwrap();
    let (second, end) = store.keys("a", cursor).unwrap();
    assert_eq!((first.len(), second, end), (PAGE, vec![format!("k{PAGE:05}")], None));
    assert_eq!(store.keys("a", Some(u64::MAX)).unwrap(), (vec![], None));
}

#[test]
fn two_that_share_the_file_count_together() {
    let (_folder, store) = store();
    let other = Store::new(store.path.clone());
    for (n, store) in [&store, &other].into_iter().cycle().take(5).enumerate() {
        store.set("a", &n.to_string(), b"", &BOUNDS).unwrap();
    }
    assert!(matches!(other.set("a", "6", b"", &BOUNDS), Err(KeyValueError::Full(_))));
    assert_eq!(store.get("a", "4").unwrap(), Some(vec![]));
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let (_folder, store) = store();
    std::fs::write(&store.path, "this is no database, but somebody's text").unwrap();
    assert!(matches!(store.check(), Err(KeyValueError::Unavailable(_))));
    assert!(std::fs::read_to_string(&store.path).unwrap().starts_with("this is no database"));

    std::fs::remove_file(&store.path).unwrap();
    Connection::open(&store.path).unwrap().pragma_update(None, "user_version", 7).unwrap();
    let error = store.check().unwrap_err().to_string();
    assert!(error.contains("newer skillhost"), "{error}");
}

#[test]
fn only_its_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_folder, store) = store();
    store.check().unwrap();
    let mode = std::fs::metadata(&store.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_begins_alike_is_removed_and_nothing_else() {
    let (_folder, store) = store();
    let keys = ["call/1", "call/2", "call", "callx/1", "c%l/1"];
    for key in keys {
        store.set("a", key, b"x", &KeyValueBounds::default()).unwrap();
        store.set("b", key, b"x", &KeyValueBounds::default()).unwrap();
    }
    store.remove("a", "call/").unwrap();
    store.remove("a", "%/").unwrap();
    let left = |bucket| {
        let (mut left, _) = store.keys(bucket, None).unwrap();
        left.sort();
        left
    };
    assert_eq!(left("a"), ["c%l/1", "call", "callx/1"]);
    assert_eq!(left("b").len(), keys.len());
}
