//! The state of a simulated WeChat as one value, which is taken out of one and put into another: its users, templates, subscriptions
//! and outbox, and how far its time was stepped. `/sim/state` hands it out and takes it.
//!
//! Sessions, codes, tokens and AppSecrets are no part of it: it is meant to lie in a repository.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wording::{Wording, wording};

use crate::{
    Simulator, World,
    control::{outbox::WholeItem, state},
    people::users::User,
    server::templates::{Subscription, Template},
};

/// The state of a simulated WeChat. In JSON each part is a member, and one that is left out is empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WeChatState {
    /// The app whose users these are.
    appid: String,
    /// Seconds by which WeChat's time is ahead of the machine's.
    #[serde(default, skip_serializing_if = "is_zero")]
    clock_ahead: u64,
    users: Vec<User>,
    #[serde(default)]
    templates: Vec<Template>,
    #[serde(default)]
    subscriptions: Vec<Subscription>,
    #[serde(default)]
    outbox: Vec<WholeItem>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it by reference")]
fn is_zero(seconds: &u64) -> bool {
    *seconds == 0
}

impl Simulator {
    /// The state as it is now.
    #[must_use]
    pub fn state(&self) -> WeChatState {
        let world = self.world();
        WeChatState {
            appid: self.settings().appid.clone(),
            clock_ahead: self.clock().ahead().as_secs(),
            users: world.users.all().to_vec(),
            templates: world.templates.all().to_vec(),
            subscriptions: world.templates.subscriptions(),
            outbox: world.outbox.whole(),
        }
    }

    /// Puts a state in the place of the one that there is. WeChat's time is stepped to where it was then, and never back.
    ///
    /// # Errors
    /// It is another app's, or something in it cannot be; nothing is changed then. Or there is a file to keep it in, and that cannot be
    /// written: then it is there until the process ends.
    pub fn replace_state(&self, state: WeChatState) -> Result<(), Wording> {
        self.put_state(state)?;
        match &self.0.state {
            Some(file) => file.save(self).map_err(|error| file.not_written(&error)),
            None => Ok(()),
        }
    }

    /// The same, and leaves it to who calls to save: around a request that is done where no other request waits for the disk. Nothing is
    /// changed where it fails.
    pub(crate) fn put_state(&self, state: WeChatState) -> Result<(), Wording> {
        let ours = &self.settings().appid;
        if state.appid != *ours {
            let theirs = state.appid;
            return Err(wording!(
                "the state is of the app {theirs}, and this one is {ours}: its users have other openids here",
                "这份状态属于小程序 {theirs}，而这里是 {ours}：用户在这里的 openid 不同"
            ));
        }
        {
            let world = &mut *self.world();
            // Where something cannot be, it is found in a world of its own.
            let mut tried = World::new(self.settings());
            let (users, templates, subscriptions) = (state.users, state.templates, state.subscriptions);
            state::restore(
                &mut tried,
                users.clone(),
                templates.clone(),
                subscriptions.clone(),
            )?;
            state::restore(world, users, templates, subscriptions)?;
            world.outbox.restore(state.outbox);
        }
        let wanted = Duration::from_secs(state.clock_ahead);
        self.clock().advance(wanted.saturating_sub(self.clock().ahead()));
        Ok(())
    }
}
