//! What the bot may do where: roles, overwrites and their order, as Discord computes them.
//!
//! **The problem.** Whoever asks a model first and is refused by Discord afterwards has paid for an answer that nobody sees, and too
//! many refused requests (403) get the bot's address banned. **The rule.** The gateway tells of roles, overwrites and the bot's own roles, and
//! what follows from them is computed before a message is claimed (Discord, *Permissions*, "Permission Overwrites"). **The limits.** What was
//! not told is not known, and then Discord decides. Of a server that was too full to remember the same holds.

use crate::message::{ChannelId, GuildId, UnixMillis, UserId};
use serenity::model::{
    Permissions,
    channel::{GuildChannel, PermissionOverwriteType},
    event::GuildMemberUpdateEvent,
    guild::{Guild, Member, PartialGuild, Role},
};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// So many channels are remembered with their overwrites, some 200 bytes each; beyond that, all are forgotten.
const REMEMBERED: usize = 50_000;
/// So many channels are remembered in which a question was not answered.
const REFUSED: usize = 1000;

/// An exception for a role or a member in one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overwrite {
    /// The role or the member. Discord's ids are unique, so that it need not be said which.
    pub(crate) id: u64,
    pub(crate) allow: Permissions,
    pub(crate) deny: Permissions,
}

/// The bot as a member of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mine {
    /// Its roles, without `@everyone`.
    pub(crate) roles: Vec<u64>,
    /// A moderator sent it to a time-out until then.
    pub(crate) silent_until: Option<UnixMillis>,
}

/// What matters of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) owner: u64,
    /// What each role may do; `@everyone` has the server's own id.
    pub(crate) roles: HashMap<u64, Permissions>,
}

/// What the bot `me` may do in a channel with these overwrites (pure). A thread has its channel's overwrites.
pub(crate) fn in_channel(
    (guild, server): (GuildId, &Server),
    (me, mine): (UserId, &Mine),
    overwrites: &[Overwrite],
    now: UnixMillis,
) -> Permissions {
    if server.owner == me.0 {
        return Permissions::all();
    }
    let of = |id: &u64| server.roles.get(id).copied().unwrap_or_default();
    let base = mine.roles.iter().fold(of(&guild.0), |sum, id| sum | of(id));
    if base.contains(Permissions::ADMINISTRATOR) {
        return Permissions::all();
    }
    let over = |may: Permissions, is_meant: &dyn Fn(u64) -> bool| {
        let meant = || overwrites.iter().filter(|it| is_meant(it.id));
        let deny = meant().fold(Permissions::empty(), |sum, it| sum | it.deny);
        let allow = meant().fold(Permissions::empty(), |sum, it| sum | it.allow);
        (may & !deny) | allow
    };
    let may = over(base, &|id| id == guild.0);
    let may = over(may, &|id| mine.roles.contains(&id));
    let may = over(may, &|id| id == me.0);
    if !may.contains(Permissions::VIEW_CHANNEL) {
        return Permissions::empty();
    }
    if mine.silent_until.is_some_and(|until| now < until) {
        return may & (Permissions::VIEW_CHANNEL | Permissions::READ_MESSAGE_HISTORY);
    }
    may
}

/// What the bot may do in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) may: Permissions,
    /// It is a thread or a post.
    pub(crate) is_thread: bool,
    /// A moderator locked the thread.
    pub(crate) is_locked: bool,
}

impl Access {
    /// What is missing to answer here; empty when nothing is.
    pub(crate) fn missing_to_answer(self) -> Permissions {
        let send =
            if self.is_thread { Permissions::SEND_MESSAGES_IN_THREADS } else { Permissions::SEND_MESSAGES };
        let unlock = if self.is_locked { Permissions::MANAGE_THREADS } else { Permissions::empty() };
        self.missing(Permissions::VIEW_CHANNEL | send | unlock)
    }

    /// What of these it has not. Who does not see a channel can do nothing there, and is told of that alone.
    pub(crate) fn missing(self, wanted: Permissions) -> Permissions {
        let missing = wanted - self.may;
        if missing.contains(Permissions::VIEW_CHANNEL) { Permissions::VIEW_CHANNEL } else { missing }
    }
}

/// All that the gateway told.
#[derive(Debug, Default)]
pub(crate) struct Rights {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    servers: HashMap<GuildId, Server>,
    /// Bots of a server: among them the one that this is.
    bots: HashMap<(GuildId, UserId), Mine>,
    overwrites: HashMap<ChannelId, Vec<Overwrite>>,
    refused: HashMap<ChannelId, GuildId>,
}

impl Rights {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the bot may do in a channel without regard to threads; none when too little is known.
    pub(crate) fn may(
        &self,
        guild: GuildId,
        channel: ChannelId,
        me: UserId,
        now: UnixMillis,
    ) -> Option<Permissions> {
        let known = self.known();
        let (server, mine) = (known.servers.get(&guild)?, known.bots.get(&(guild, me))?);
        let overwrites = known.overwrites.get(&channel)?;
        Some(in_channel((guild, server), (me, mine), overwrites, now))
    }

    /// A question was not answered there. True for the first time.
    pub(crate) fn refuse(&self, guild: GuildId, channel: ChannelId) -> bool {
        let mut known = self.known();
        if known.refused.len() >= REFUSED {
            known.refused.clear();
        }
        known.refused.insert(channel, guild).is_none()
    }

    /// Where questions were not answered, on one server.
    pub(crate) fn refused(&self, guild: GuildId) -> Vec<ChannelId> {
        let known = self.known();
        known.refused.iter().filter(|it| *it.1 == guild).map(|it| *it.0).collect()
    }

    /// The bot is on a server, or is again.
    pub(crate) fn learn_server(&self, guild: &Guild) {
        let id = GuildId(guild.id.get());
        let roles = guild.roles.values().map(|it| (it.id.get(), it.permissions)).collect();
        {
            let mut known = self.known();
            known.servers.insert(id, Server { owner: guild.owner_id.get(), roles });
            for member in guild.members.values().filter(|it| it.user.bot) {
                known.bots.insert((id, UserId(member.user.id.get())), mine(member));
            }
        }
        for channel in guild.channels.values() {
            self.learn_channel(channel);
        }
    }

    /// A server changed hands.
    pub(crate) fn learn_owner(&self, guild: &PartialGuild) {
        if let Some(server) = self.known().servers.get_mut(&GuildId(guild.id.get())) {
            server.owner = guild.owner_id.get();
        }
    }

    /// The bot is not on a server any more.
    pub(crate) fn forget_server(&self, guild: GuildId) {
        let mut known = self.known();
        known.servers.remove(&guild);
        known.bots.retain(|it, _| it.0 != guild);
        known.refused.retain(|_, it| *it != guild);
    }

    /// A role is new, or may do something else.
    pub(crate) fn learn_role(&self, role: &Role) {
        if let Some(server) = self.known().servers.get_mut(&GuildId(role.guild_id.get())) {
            server.roles.insert(role.id.get(), role.permissions);
        }
    }

    /// A role is gone.
    pub(crate) fn forget_role(&self, guild: GuildId, role: u64) {
        if let Some(server) = self.known().servers.get_mut(&guild) {
            server.roles.remove(&role);
        }
    }

    /// A member has other roles, or was sent to a time-out.
    pub(crate) fn learn_member(&self, event: &GuildMemberUpdateEvent) {
        if event.user.bot {
            let mine = Mine {
                roles: event.roles.iter().map(|it| it.get()).collect(),
                silent_until: event.communication_disabled_until.map(|it| UnixMillis(it.timestamp_millis())),
            };
            let id = (GuildId(event.guild_id.get()), UserId(event.user.id.get()));
            self.known().bots.insert(id, mine);
        }
    }

    /// A channel is new, or has other overwrites.
    pub(crate) fn learn_channel(&self, channel: &GuildChannel) {
        let overwrites = channel.permission_overwrites.iter().map(|it| Overwrite {
            id: match it.kind {
                PermissionOverwriteType::Member(id) => id.get(),
                PermissionOverwriteType::Role(id) => id.get(),
                _ => 0,
            },
            allow: it.allow,
            deny: it.deny,
        });
        let mut known = self.known();
        if known.overwrites.len() >= REMEMBERED {
            known.overwrites.clear();
        }
        known.overwrites.insert(ChannelId(channel.id.get()), overwrites.collect());
    }

    /// A channel is gone.
    pub(crate) fn forget_channel(&self, channel: ChannelId) {
        let mut known = self.known();
        known.overwrites.remove(&channel);
        known.refused.remove(&channel);
    }
}

fn mine(member: &Member) -> Mine {
    Mine {
        roles: member.roles.iter().map(|it| it.get()).collect(),
        silent_until: member.communication_disabled_until.map(|it| UnixMillis(it.timestamp_millis())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUILD: GuildId = GuildId(1);
    const ME: UserId = UserId(9);
    const ROLE: u64 = 7;
    const SEND: Permissions = Permissions::SEND_MESSAGES;
    const VIEW: Permissions = Permissions::VIEW_CHANNEL;
    const HISTORY: Permissions = Permissions::READ_MESSAGE_HISTORY;

    fn on(id: u64, allow: Permissions, deny: Permissions) -> Overwrite {
        Overwrite { id, allow, deny }
    }

    fn server(everyone: Permissions, role: Permissions) -> Server {
        Server { owner: 2, roles: [(GUILD.0, everyone), (ROLE, role)].into() }
    }

    fn may(server: &Server, overwrites: &[Overwrite]) -> Permissions {
        let mine = Mine { roles: vec![ROLE], silent_until: None };
        in_channel((GUILD, server), (ME, &mine), overwrites, UnixMillis(0))
    }

    #[test]
    fn a_members_overwrite_wins_over_roles_and_those_over_everyone() {
        const NONE: Permissions = Permissions::empty();
        let plain = server(VIEW | SEND, NONE);
        assert_eq!(may(&plain, &[]), VIEW | SEND);
        assert_eq!(may(&server(VIEW, SEND), &[]), VIEW | SEND, "roles add up");
        assert_eq!(may(&plain, &[on(1, NONE, SEND)]), VIEW);
        assert_eq!(may(&plain, &[on(1, NONE, SEND), on(ROLE, SEND, NONE)]), VIEW | SEND);
        assert_eq!(may(&plain, &[on(9, NONE, SEND), on(1, NONE, SEND), on(ROLE, SEND, NONE)]), VIEW);
        assert_eq!(may(&plain, &[on(8, NONE, SEND)]), VIEW | SEND, "another role's");
        assert_eq!(may(&plain, &[on(1, NONE, VIEW)]), NONE, "who sees nothing can do nothing");
        let admin = server(NONE, Permissions::ADMINISTRATOR);
        assert!(may(&admin, &[on(9, NONE, VIEW)]).contains(SEND), "administrators may all");
        let own = Server { owner: ME.0, ..server(NONE, NONE) };
        assert!(may(&own, &[on(9, NONE, VIEW)]).contains(SEND), "the owner, too");
    }

    #[test]
    fn in_a_time_out_it_can_only_read() {
        let server = server(VIEW | SEND | HISTORY, Permissions::empty());
        let mine = Mine { roles: Vec::new(), silent_until: Some(UnixMillis(1000)) };
        let at = |now| in_channel((GUILD, &server), (ME, &mine), &[], UnixMillis(now));
        assert_eq!(at(999), VIEW | HISTORY);
        assert_eq!(at(1000), VIEW | SEND | HISTORY);
    }

    #[test]
    fn what_is_missing_has_discords_names() {
        let access = |may, is_thread, is_locked| Access { may, is_thread, is_locked };
        let missing = |it: Access| it.missing_to_answer().to_string();
        let threads = Permissions::SEND_MESSAGES_IN_THREADS;
        assert_eq!(missing(access(VIEW | SEND, false, false)), "");
        assert_eq!(missing(access(VIEW, false, false)), "Send Messages");
        assert_eq!(missing(access(VIEW | SEND, true, false)), "Send Messages in Threads");
        assert_eq!(missing(access(VIEW | threads, true, true)), "Manage Threads");
        assert_eq!(missing(access(Permissions::empty(), true, true)), "View Channel");
    }
}
