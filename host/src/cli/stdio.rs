//! `skillhost stdio`

use std::process::ExitCode;

use super::{Common, start, stop_on_signal};
use crate::{
    app::{App, Open, block_on},
    transport::{
        admin::{Admin, Socket},
        stdio,
    },
};

pub(super) fn run(common: &Common) -> anyhow::Result<ExitCode> {
    let raw = common.raw()?;
    let settings = start(raw.clone(), None)?;
    block_on(async {
        let stop = stop_on_signal()?;
        let app = App::start(&settings, Open::Now).await?;
        let _socket = Socket::open(&settings.data, Admin::of(&app));
        let _reload = common.follow(raw, &app)?;
        app.recover(stop.clone());
        stdio::serve(&app.dispatcher, (app.sources(), app.tasks()), stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}
