//! The people of a long run: where they talk, what they ask, and how they change their minds.

use super::audit::{Fate, Question};
use sim::discord::{Discord, Shown};

/// How many places there are of each sort.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) channels: usize,
    pub(crate) threads: usize,
    pub(crate) posts: usize,
    pub(crate) dms: usize,
}

/// A conversation with more open questions than this is left alone.
const OPEN: usize = 3;
/// In all conversations together; each takes calls that Discord limits.
const OPEN_IN_ALL: usize = 48;

/// The people, and what they asked so far.
#[derive(Debug)]
pub(crate) struct Town {
    discord: Discord,
    rng: fastrand::Rng,
    places: Vec<Place>,
    pub(crate) questions: Vec<Question>,
    /// What people did besides asking, by word.
    pub(crate) deeds: std::collections::BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
struct Place {
    channel: u64,
    /// Who talks here; the first one is at the other end of a DM.
    people: Vec<String>,
    /// Questions whose end nobody has seen: their places in `questions`.
    open: Vec<usize>,
}

impl Town {
    pub(crate) fn build(discord: &Discord, plan: Plan, mut rng: fastrand::Rng) -> Self {
        let mut channels = Vec::new();
        let mut some = |number: usize| vec![format!("p{}", number % 23), format!("q{}", rng.usize(0..17))];
        for number in 0..plan.channels {
            channels.push((discord.channel(&format!("room-{number}")), some(number)));
        }
        for number in 0..plan.threads {
            let (parent, people) = channels[number % plan.channels].clone();
            let thread = discord.start_thread(&people[0], parent, None, &format!("thread {number}"));
            channels.push((thread, people));
        }
        let forum = discord.forum("questions", &[]);
        for number in 0..plan.posts {
            let people = some(number);
            let post =
                discord.post(&people[0], forum, &format!("post {number}"), "Has anybody seen my map?", &[]);
            channels.push((post, people));
        }
        for number in 0..plan.dms {
            let person = format!("d{number}");
            channels.push((discord.dm(&person), vec![person]));
        }
        let place = |(channel, people)| Place { channel, people, open: Vec::new() };
        let places = channels.into_iter().map(place).collect();
        Self { discord: discord.clone(), rng, places, questions: Vec::new(), deeds: [].into() }
    }

    pub(crate) fn places(&self) -> usize {
        self.places.len()
    }

    /// Somebody asks in each place, so that the bot knows them all.
    pub(crate) fn greet(&mut self) {
        (0..self.places.len()).for_each(|it| self.ask(it));
    }

    /// Somebody asks somewhere, where not too much is open. Says whether somebody did.
    pub(crate) fn ask_somewhere(&mut self) -> bool {
        let place = self.rng.usize(0..self.places.len());
        self.close_seen(place);
        if self.places[place].open.len() >= OPEN || self.open() >= OPEN_IN_ALL {
            return false;
        }
        self.ask(place);
        true
    }

    /// How many questions are open.
    pub(crate) fn open(&self) -> usize {
        self.places.iter().map(|it| it.open.len()).sum()
    }

    fn ask(&mut self, place: usize) {
        let title = self.title();
        let Place { channel, people, .. } = &self.places[place];
        let channel = *channel;
        let person = people[self.rng.usize(0..people.len())].clone();
        // Nobody can reply to what only they see.
        let last =
            self.answers(channel).into_iter().rfind(|it| it.reply_to.is_some() && it.interaction.is_none());
        let reply_to = last.map(|it| it.id).filter(|_| self.rng.u8(0..4) == 0);
        let mention = if reply_to.is_some() { "" } else { "@neverdark " };
        let id = self.discord.say(&person, channel, &format!("{mention}tell me {title}"), reply_to);
        self.places[place].open.push(self.questions.len());
        self.questions.push(Question { id, channel, titles: vec![title], fate: Fate::Kept });
    }

    fn title(&self) -> String {
        format!("t{}", self.questions.iter().map(|it| it.titles.len()).sum::<usize>() + 1)
    }

    fn answers(&self, channel: u64) -> Vec<Shown> {
        self.discord.messages(channel).into_iter().filter(|it| it.bot && !it.deleted).collect()
    }

    /// Forgets the questions of a place that people have seen the end of.
    fn close_seen(&mut self, place: usize) {
        let answers = self.answers(self.places[place].channel);
        let questions = &self.questions;
        let is_seen = |it: usize| {
            let question: &Question = &questions[it];
            let end = |title: &String| format!("The end of {title}, says");
            let has_end =
                question.titles.iter().any(|title| answers.iter().any(|it| it.content.contains(&end(title))));
            has_end || matches!(question.fate, Fate::Deleted | Fate::Stopped)
        };
        self.places[place].open.retain(|it| !is_seen(*it));
    }

    /// Somebody changes their mind, or presses a button.
    pub(crate) fn change_a_mind(&mut self) {
        let place = self.rng.usize(0..self.places.len());
        match self.rng.u8(0..10) {
            0..3 => self.edit(place),
            3..5 => self.delete(place),
            5..7 => self.press(place, "stop:", Fate::Stopped),
            7 => self.press(place, "regenerate:", Fate::AskedAgain),
            8 => self.press(place, "again:", Fate::AskedAgain),
            _ => self.press(place, "up:", Fate::Kept),
        }
    }

    fn open_one(&mut self, place: usize) -> Option<usize> {
        self.close_seen(place);
        self.places[place].open.last().copied().filter(|it| self.questions[*it].fate == Fate::Kept)
    }

    fn edit(&mut self, place: usize) {
        let Some(which) = self.open_one(place) else { return };
        let title = self.title();
        let question = &mut self.questions[which];
        question.fate = Fate::Edited;
        self.discord.edit(question.id, &format!("@neverdark tell me {title}"));
        question.titles.push(title);
        *self.deeds.entry("edited").or_default() += 1;
    }

    fn delete(&mut self, place: usize) {
        let Some(which) = self.open_one(place) else { return };
        let question = &mut self.questions[which];
        question.fate = Fate::Deleted;
        self.discord.delete(question.id);
        *self.deeds.entry("deleted").or_default() += 1;
    }

    /// Presses the last button of this sort in a place; its question's asker does, who may.
    fn press(&mut self, place: usize, word: &'static str, fate: Fate) {
        let channel = self.places[place].channel;
        let answers = self.answers(channel);
        let has_button = |it: &&Shown| it.buttons.iter().any(|it| it.0.starts_with(word));
        let Some(last) = answers.iter().rfind(has_button) else { return };
        let first = answers.iter().rfind(|it| it.id <= last.id && it.reply_to.is_some());
        let asked =
            first.and_then(|it| self.questions.iter().position(|question| Some(question.id) == it.reply_to));
        let Some(which) = asked.filter(|it| self.questions[*it].fate == Fate::Kept) else { return };
        let Some(asker) = self.discord.message(self.questions[which].id).map(|it| it.author) else { return };
        let button = last.buttons.iter().find(|it| it.0.starts_with(word)).map(|it| it.0.clone());
        if button.is_some_and(|it| self.discord.click(&asker, last.id, &it).is_ok()) {
            self.questions[which].fate = fate;
            *self.deeds.entry(word).or_default() += 1;
        }
    }
}
