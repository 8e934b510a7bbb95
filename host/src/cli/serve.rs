//! `skillhost serve`

use std::process::ExitCode;

use clap::Args;

use super::{Common, Told, start, stop_on_signal};
use crate::{
    app::{App, Open, block_on, clock},
    config::{ConfigError, Raw, Settings, raw},
    transport::{
        Auth,
        admin::{Admin, Socket, Token},
        http,
    },
};

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Address to listen on [default: 127.0.0.1:8000]
    #[arg(long, env = "SKILLHOST_LISTEN", hide_env_values = true, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

/// Look at what `serve` needs besides, before anything starts: who may call, and who may administer.
pub(super) fn check(settings: &Settings) -> Result<Option<Token>, ConfigError> {
    let http = &settings.http;
    let looked = || {
        http::check(http)?;
        Auth::open(&http.auth, &http.listen.to_string(), &clock())?;
        settings.admin.token()
    };
    looked().map_err(ConfigError::Serve)
}

impl Serve {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<ExitCode> {
        self.run_beside(common, |_| Ok(()))
    }

    /// The same, and what `beside` begins goes on until the host ends.
    pub(super) fn run_beside<T>(
        self,
        common: &Common,
        beside: impl FnOnce(&Settings) -> anyhow::Result<T>,
    ) -> anyhow::Result<ExitCode> {
        let raw = common.raw()?;
        let listen = self.listen.or_else(|| raw.server.listen.clone());
        let server = raw::Server { listen, ..raw.server.clone() };
        let (settings, telemetry) = start(Raw { server, ..raw.clone() }, Told::Everything)?;
        let token = check(&settings)?;
        block_on(async {
            let stop = stop_on_signal()?;
            // The port first: when it is taken, nothing else needs to start.
            let listener = http::bind(settings.http.listen).await?;
            let app = App::start(&settings, telemetry, Open::Now).await?;
            app.listeners.add(listener.local_addr()?);
            let admin = Admin::of(&app);
            let _socket = Socket::open(&settings.data, admin.clone());
            let _reload = common.follow(raw, &app)?;
            app.work(stop.clone());
            let _beside = beside(&settings)?;
            let admin = token.map(|token| (admin, token));
            let mut shutdown = app.shutdown();
            let served = http::serve(&app, &settings.http, admin, listener, &shutdown, stop).await;
            // Also when it failed: calls may be in flight.
            app.close(&mut shutdown).await;
            served.map(|()| shutdown.code())
        })
    }
}
