//! Reading the configuration, the model and the allowlist again, without a packet going uncounted:
//! the kernel's programs stay where they are.
//!
//! Everything is read and checked before anything is changed. What fails all the same while it
//! takes effect, as a table that is full, brings back what was in force. What a command said at run
//! time (the mode, exceptions, interfaces, a model that was chosen) holds until the file says
//! something else about it than it did before.

use std::sync::Arc;

use super::Agent;
use super::reading::Reading;
use super::responder::Caller;
use super::sensor::log_interface;
use crate::builtin_models;
use crate::config::Config;
use crate::config::reload::{Current, Given, Reload};
use crate::control::{Answer, KeptKey, Reloaded};
use crate::features::Kind;
use crate::model::Model;
use crate::notify::Switch;
use crate::refusal::Refusal;
use crate::response::{Change, ChangeKind, Mode};
use crate::store::Store;

/// What a refusal to reload begins with.
const NOT_RELOADED: &str = "nothing was reloaded, the old configuration stays active";

/// Whose change a signal is.
const SIGNAL: &str = "SIGHUP";

/// What a reload starts from.
pub struct Reloads {
    given: Given,
    current: Current,
    /// The model that scores.
    model_hash: String,
    notifier: Switch,
}

impl Reloads {
    /// `current` is what was read at the start; it is replaced by what is read later.
    #[must_use]
    pub fn new(given: Given, current: Current, notifier: Switch) -> Self {
        Self { given, current, model_hash: String::new(), notifier }
    }

    /// Another model scores from now on.
    pub(super) fn model_serves(&mut self, hash: &str) {
        hash.clone_into(&mut self.model_hash);
    }
}

/// What was read, and fits.
struct Fresh {
    reload: Reload,
    /// The model that is to score, with its hash.
    model: (Arc<Model>, String),
}

impl Agent {
    /// Reads everything again because of a signal: what comes of it is in the log.
    pub(super) fn reload_by_signal(&mut self) {
        if self.readings.is_busy() {
            self.readings.signal_waits = true;
            return;
        }
        self.read_away(self.reload_reading(SIGNAL), |agent, reloaded| {
            if let Err(refusal) = reloaded {
                tracing::error!("{refusal}");
                let refused = Change::new(ChangeKind::Refused, SIGNAL);
                agent.responder.record(Change { why: refusal.text, ..refused });
            }
            agent.responder.write();
            agent.follow_changes();
        });
    }

    /// Reads everything again. What cannot be used is refused with its file, line and key:
    /// everything is as before then.
    pub(super) fn reload_reading(&self, who: &str) -> Reading {
        let (given, old) = (self.reloads.given.clone(), self.reloads.current.get());
        let (store, who) = (self.reporter.store().cloned(), who.to_owned());
        Box::new(move || {
            let fresh = read_anew(&given, &old, store.as_ref());
            let fresh = fresh.map_err(|refusal| refusal.within(NOT_RELOADED))?;
            Ok(Box::new(move |agent: &mut Self| agent.reload(&old, fresh, &who)))
        })
    }

    fn reload(&mut self, old: &Config, fresh: Fresh, who: &str) -> Result<Answer, Refusal> {
        let reloaded = self.put_in_force(old, fresh, who);
        let reloaded = reloaded.map_err(|refusal| refusal.within(NOT_RELOADED))?;
        self.tell_reloaded(&reloaded, who);
        Ok(Answer::Reloaded(reloaded))
    }

    fn put_in_force(&mut self, old: &Config, fresh: Fresh, who: &str) -> Result<Reloaded, Refusal> {
        let Fresh { reload: Reload { config, changed, needs_restart }, model } = fresh;
        let model = Some(model).filter(|(_, hash)| *hash != self.reloads.model_hash);
        // A command's mode holds where the file has not changed its mind.
        let mode = Some(config.mode).filter(|mode| *mode != old.mode);
        let done = self.reconfigure(&config).and_then(|()| self.follow_mode(mode, who));
        if let Err(error) = done {
            if let Err(worse) = self.reconfigure(old) {
                tracing::error!("failed to restore the old configuration: {worse:#}");
            }
            return Err(error.into());
        }
        if old.model.threshold != config.model.threshold || model.is_some() {
            let scoring = model.as_ref().map_or_else(
                || self.sensor.pipeline.mode().model(),
                |(model, _)| Arc::clone(model),
            );
            self.sensor.pipeline.mode_mut().use_model(scoring)?;
        }
        let model = model.map(|(_, hash)| hash);
        if let Some(hash) = &model {
            self.reloads.model_serves(hash);
        }
        if let Some(hash) = &model {
            self.reporter.model_changed(hash);
        }
        self.reporter.config_changed(&config);
        if old.notify != config.notify {
            self.reloads.notifier.change(config.notify.clone());
        }
        self.reloads.current.set(Arc::new(config));
        Ok(Reloaded {
            file: self.reloads.given.file().display().to_string(),
            changed,
            needs_restart: needs_restart
                .into_iter()
                .map(|kept| KeptKey { key: kept.key, kept: kept.value })
                .collect(),
            model,
        })
    }

    /// Has a configuration decide, but for the model and the mode.
    fn reconfigure(&mut self, config: &Config) -> anyhow::Result<()> {
        let now = self.sensor.now()?;
        for change in self.sensor.kernel.reconfigure(config)? {
            log_interface(&change);
        }
        self.responder.set_home(self.sensor.kernel.home());
        self.responder.reconfigure(config, now, &mut self.sensor.kernel)?;
        let (threshold, budgets) = (config.model.threshold, config.has_budgets());
        self.sensor.pipeline.mode_mut().reconfigure(threshold, budgets, config.ledger());
        Ok(())
    }

    fn follow_mode(&mut self, mode: Option<Mode>, who: &str) -> anyhow::Result<()> {
        let Some(mode) = mode.filter(|mode| *mode != self.responder.mode()) else { return Ok(()) };
        let caller = Caller { who, confirm: None, now: self.sensor.now()? };
        self.responder.set_mode(mode, caller, &mut self.sensor.kernel)?;
        Ok(())
    }

    fn tell_reloaded(&mut self, reloaded: &Reloaded, who: &str) {
        let Reloaded { file, changed, needs_restart, model } = reloaded;
        let changed = if changed.is_empty() { "nothing".to_owned() } else { changed.join(", ") };
        tracing::info!("{who} reloaded {file}; changed: {changed}");
        for KeptKey { key, kept } in needs_restart {
            tracing::warn!("{key} needs a restart and stays {kept}");
        }
        if let Some(hash) = model {
            tracing::info!("model {hash} now scores live traffic");
        }
        let waiting: Vec<&str> = needs_restart.iter().map(|kept| &*kept.key).collect();
        let mut detail = format!("{file}; changed: {changed}");
        if !waiting.is_empty() {
            detail += &format!("; needs a restart: {}", waiting.join(", "));
        }
        if let Some(hash) = model {
            detail += &format!("; model {hash}");
        }
        let reloaded = Change::new(ChangeKind::Reloaded, who);
        self.responder.record(Change { detail: Some(detail), ..reloaded });
    }
}

fn read_anew(given: &Given, old: &Config, store: Option<&Store>) -> Result<Fresh, Refusal> {
    let unusable = |error: anyhow::Error| Refusal::malformed(format!("{error:#}"));
    let reload = Reload::of(old, &given.read().map_err(unusable)?);
    reload.config.check().map_err(unusable)?;
    // Looked at also where another, chosen one serves: the next start may need it.
    builtin_models::model_of(Kind::Session, None, &reload.config)?;
    let model = builtin_models::in_use(Kind::Session, store, &reload.config)?;
    let hash = model.hash()?;
    Ok(Fresh { reload, model: (model, hash) })
}
