//! `skillhost stdio`

use std::process::ExitCode;

use super::stop_on_signal;
use crate::{
    app::{App, block_on},
    config::Settings,
    transport::stdio,
};

pub(super) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    block_on(async {
        let stop = stop_on_signal()?;
        let app = App::start(settings)?;
        stdio::serve(&app.dispatcher, stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}
