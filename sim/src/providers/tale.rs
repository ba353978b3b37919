//! A tale for each question: what is told can be known beforehand, so that a run of thousands of answers can be checked.

use super::lorem::lorem;

/// The shortest tale, but for its first and last line.
const SHORTEST: usize = 40;

/// What the provider with this model answers to a question: the tale that its last word names, of at most about `size`
/// characters (four times out of five fewer than half of that). The first and the last line name the tale; no other provider tells
/// the same. Before the last one comes what a model says that obeys an attacker: it calls everybody and has a link.
#[must_use]
pub fn tale(model: &str, question: &str, size: usize) -> String {
    let title = question.split_whitespace().next_back().unwrap_or("nothing");
    let mut rng = fastrand::Rng::with_seed(seed(model).rotate_left(17) ^ seed(title));
    let share = rng.f64();
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size of some thousands, which need not be exact"
    )]
    let size = (size.saturating_sub(SHORTEST) as f64 * share * share * share) as usize + SHORTEST;
    let body = lorem(size, rng.u64(..));
    format!(
        "The tale of {title}, as {model} tells it.\n\n{body}\n\n@everyone @here https://{model}.example/{title}\n\n\
         The end of {title}, says {model}."
    )
}

/// FNV-1a, so that it is the same in every version.
fn seed(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_by_the_last_word_and_by_who_tells_it() {
        let told = tale("alpha-1", "please tell me t17", 3_000);
        assert_eq!(told, tale("alpha-1", "ana: t17", 3_000));
        assert_ne!(told, tale("beta-1", "t17", 3_000));
        assert_ne!(told, tale("alpha-1", "t18", 3_000));
        assert!(
            told.starts_with("The tale of t17, as alpha-1 tells it.\n")
                && told.ends_with("\nThe end of t17, says alpha-1.")
        );
    }

    #[test]
    fn some_are_long_and_most_are_short() {
        let lengths: Vec<usize> =
            (0..200).map(|it| tale("a", &format!("t{it}"), 5_000).chars().count()).collect();
        let short = lengths.iter().filter(|it| **it < 2_500).count();
        assert!((140..180).contains(&short), "{short}");
        assert!(lengths.iter().all(|it| *it < 5_600) && lengths.iter().any(|it| *it > 4_000));
    }
}
