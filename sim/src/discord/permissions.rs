//! Who may do what where: roles, overwrites and their order, as Discord computes them.

/// Permission bits, by Discord's names.
#[expect(missing_docs, reason = "the names are Discord's own")]
pub mod bits {
    pub const KICK_MEMBERS: u64 = 1 << 1;
    pub const ADMINISTRATOR: u64 = 1 << 3;
    pub const MANAGE_CHANNELS: u64 = 1 << 4;
    pub const MANAGE_GUILD: u64 = 1 << 5;
    pub const ADD_REACTIONS: u64 = 1 << 6;
    pub const VIEW_CHANNEL: u64 = 1 << 10;
    pub const SEND_MESSAGES: u64 = 1 << 11;
    pub const MANAGE_MESSAGES: u64 = 1 << 13;
    pub const EMBED_LINKS: u64 = 1 << 14;
    pub const ATTACH_FILES: u64 = 1 << 15;
    pub const READ_MESSAGE_HISTORY: u64 = 1 << 16;
    pub const MENTION_EVERYONE: u64 = 1 << 17;
    pub const USE_APPLICATION_COMMANDS: u64 = 1 << 31;
    pub const MANAGE_THREADS: u64 = 1 << 34;
    pub const CREATE_PUBLIC_THREADS: u64 = 1 << 35;
    pub const CREATE_PRIVATE_THREADS: u64 = 1 << 36;
    pub const SEND_MESSAGES_IN_THREADS: u64 = 1 << 38;
    pub const PIN_MESSAGES: u64 = 1 << 51;
}

/// Every bit that is in use.
pub(crate) const ALL: u64 = (1 << 53) - 1;

/// What `@everyone` of a new server may do: see, speak, react, open threads, attach, mention everyone, use commands.
pub(crate) const EVERYONE: u64 = bits::VIEW_CHANNEL
    | bits::SEND_MESSAGES
    | bits::EMBED_LINKS
    | bits::ATTACH_FILES
    | bits::ADD_REACTIONS
    | bits::READ_MESSAGE_HISTORY
    | bits::MENTION_EVERYONE
    | bits::USE_APPLICATION_COMMANDS
    | bits::CREATE_PUBLIC_THREADS
    | bits::SEND_MESSAGES_IN_THREADS;

/// What a moderator's role adds.
pub(crate) const MODERATOR: u64 = bits::MANAGE_GUILD
    | bits::MANAGE_CHANNELS
    | bits::MANAGE_MESSAGES
    | bits::MANAGE_THREADS
    | bits::KICK_MEMBERS
    | bits::PIN_MESSAGES;

/// What somebody may do in a DM with the bot.
pub(crate) const IN_DM: u64 = bits::VIEW_CHANNEL
    | bits::SEND_MESSAGES
    | bits::EMBED_LINKS
    | bits::ATTACH_FILES
    | bits::ADD_REACTIONS
    | bits::READ_MESSAGE_HISTORY
    | bits::USE_APPLICATION_COMMANDS
    | bits::PIN_MESSAGES;

/// An exception for a role or a member in one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overwrite {
    /// The role or user.
    pub(crate) id: u64,
    /// Whether `id` is a user.
    pub(crate) member: bool,
    pub(crate) allow: u64,
    pub(crate) deny: u64,
}

/// Permissions of `user` in a channel: `guild` is also the id of its `@everyone` role, `base` the union of all its roles.
pub(crate) fn in_channel(guild: u64, user: u64, roles: &[u64], base: u64, overwrites: &[Overwrite]) -> u64 {
    if base & bits::ADMINISTRATOR != 0 {
        return ALL;
    }
    let mut have = base;
    for it in overwrites.iter().filter(|it| !it.member && it.id == guild) {
        have = have & !it.deny | it.allow;
    }
    let of_roles = || overwrites.iter().filter(|it| !it.member && it.id != guild && roles.contains(&it.id));
    have &= !of_roles().fold(0, |sum, it| sum | it.deny);
    have |= of_roles().fold(0, |sum, it| sum | it.allow);
    for it in overwrites.iter().filter(|it| it.member && it.id == user) {
        have = have & !it.deny | it.allow;
    }
    // Who does not see a channel can do nothing in it.
    if have & bits::VIEW_CHANNEL == 0 { 0 } else { have }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: u64 = 7;
    const USER: u64 = 9;

    fn with(overwrites: &[Overwrite]) -> u64 {
        in_channel(1, USER, &[ROLE], EVERYONE, overwrites)
    }

    #[test]
    fn a_members_overwrite_wins_over_roles_and_those_over_everyone() {
        let on = |id, member, allow, deny| Overwrite { id, member, allow, deny };
        let send = bits::SEND_MESSAGES;
        assert_eq!(with(&[on(1, false, 0, send)]) & send, 0);
        assert_eq!(with(&[on(1, false, 0, send), on(ROLE, false, send, 0)]) & send, send);
        assert_eq!(
            with(&[on(USER, true, 0, send), on(1, false, 0, send), on(ROLE, false, send, 0)]) & send,
            0
        );
        assert_eq!(with(&[on(USER, true, 0, bits::VIEW_CHANNEL)]), 0);
        assert_eq!(in_channel(1, USER, &[], bits::ADMINISTRATOR, &[on(1, false, 0, send)]), ALL);
    }
}
