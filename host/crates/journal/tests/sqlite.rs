//! The suite of every journal, against SQLite.

mod suite;

use std::sync::Arc;

use proptest::test_runner::{Config, FileFailurePersistence};
use proptest_state_machine::prop_state_machine;
use skillhost_core::SystemClock;
use skillhost_journal::{Bounds, Journal, Sqlite, SqliteSettings, Synchronous};
use suite::{PROCESSES, Subject, Test};

struct Shared {
    processes: [Sqlite; PROCESSES],
    settings: SqliteSettings,
    _folder: tempfile::TempDir,
}

fn process(settings: &SqliteSettings) -> Sqlite {
    let opened = Sqlite::open(settings.clone(), Arc::new(SystemClock));
    futures::executor::block_on(opened).expect("the journal can be opened")
}

impl Subject for Shared {
    fn new(bounds: Bounds) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let settings = SqliteSettings {
            bounds,
            // Whether commits are synced is another test's.
            synchronous: Synchronous::Off,
            ..SqliteSettings::new(path.join("journal.sqlite"), path.join("run"))
        };
        Self { processes: [process(&settings), process(&settings)], settings, _folder: folder }
    }

    fn of(&self, process: usize) -> &dyn Journal {
        &self.processes[process]
    }

    fn kill(&mut self, nth: usize) {
        self.processes[nth] = process(&self.settings);
    }
}

fn config() -> Config {
    let cases = if std::env::var_os("SKILLHOST_NIGHTLY").is_some() { 5_000 } else { 100 };
    // Seeds of failures are kept beside this file.
    let failure_persistence = Some(Box::new(FileFailurePersistence::WithSource("regressions")) as Box<_>);
    Config { cases, failure_persistence, ..Config::default() }
}

prop_state_machine! {
    #![proptest_config(config())]

    #[test]
    fn does_what_the_model_does(sequential 1..60 => Test<Shared>);
}
