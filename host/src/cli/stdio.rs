//! `skillhost stdio`

use std::{process::ExitCode, sync::Arc};

use super::{Common, start, stop_on_signal};
use crate::{
    app::{App, block_on},
    transport::{admin::Socket, stdio},
};

pub(super) fn run(common: &Common) -> anyhow::Result<ExitCode> {
    let raw = common.raw()?;
    let settings = start(raw.clone(), None)?;
    block_on(async {
        let stop = stop_on_signal()?;
        let app = App::start(&settings)?;
        let _socket = Socket::open(&settings.data, Arc::clone(&app.dispatcher));
        let _reload = common.follow(raw, &app)?;
        stdio::serve(&app.dispatcher, stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}
