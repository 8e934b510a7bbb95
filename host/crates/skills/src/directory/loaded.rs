//! What follows when a skill was loaded, or could not be.

use skillhost_core::SkillState;
use skillhost_telemetry::Metric;
use tokio::time::Instant;

use super::{Answer, Keeper};
use crate::{load::Unloaded, slot::changed_tools};

impl Keeper {
    /// A version is there, or there is none. Answers whether anything changed.
    pub(super) fn loaded(&mut self, Answer { skill, generation, result }: Answer) -> bool {
        let now = self.clock.wall();
        let Some(slot) = self.slots.get_mut(&skill).filter(|slot| slot.generation == generation) else {
            return false;
        };
        match result {
            Ok(version) => {
                let is_new = std::mem::take(&mut slot.ill) | version.is_some();
                if let Some(serves) = version.as_ref().or(slot.serving.as_ref()).filter(|_| is_new) {
                    let (of, digest, tools) = (skill.clone(), serves.digest, serves.offers.tools.len());
                    let ready = move || tracing::info!(skill = %of, %digest, tools, "skill ready");
                    self.to_tell.push(Box::new(ready));
                }
                if let Some(version) = version {
                    if let Some(old) = &slot.serving {
                        for tool in changed_tools(old, &version) {
                            tracing::warn!(%skill, %tool, was = %old.digest, now = %version.digest,
                                "a tool's description, schema or annotations changed with a reload");
                        }
                    }
                    slot.serving = Some(version);
                    self.settings.metrics.count(Metric::SkillLoads, ["ok"]);
                }
                slot.enter(SkillState::Ready, now) || is_new
            }
            Err(Unloaded { reason, may_pass }) => {
                if may_pass {
                    slot.retry_later(Instant::now());
                }
                // What was loaded with other settings may have been granted more than counts now.
                slot.serving = slot.serving.take().filter(|old| *old.settings == *self.settings.of(&skill));
                let serving = slot.serving.as_ref().map(|old| old.digest.to_string());
                self.settings.metrics.count(Metric::SkillLoads, ["failed"]);
                slot.enter(SkillState::Failed(reason.clone()), now);
                slot.ill = true;
                self.to_tell.push(Box::new(move || {
                    tracing::warn!(%skill, reason, still_serving = serving.as_deref().unwrap_or("nothing"), "skill failed to load");
                }));
                true
            }
        }
    }
}
