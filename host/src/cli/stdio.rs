//! `skillhost stdio`

use std::process::ExitCode;

use super::{Common, Told, start, stop_on_signal};
use crate::{
    app::{App, Open, block_on},
    transport::{
        admin::{Admin, Socket},
        stdio,
    },
};

pub(super) fn run(common: &Common) -> anyhow::Result<ExitCode> {
    let raw = common.raw()?;
    let (settings, telemetry) = start(raw.clone(), Told::Everything)?;
    block_on(async {
        let stop = stop_on_signal()?;
        let app = App::start(&settings, telemetry, Open::Now).await?;
        let _socket = Socket::open(&settings.data, Admin::of(&app));
        let _reload = common.follow(raw, &app)?;
        app.work(stop.clone());
        let mut shutdown = app.shutdown();
        let served = stdio::serve(&app, &shutdown, stop).await;
        app.close(&mut shutdown).await;
        served.map(|()| shutdown.code())
    })
}
