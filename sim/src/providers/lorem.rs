//! A long answer as models write them: headings, paragraphs, lists, code fences and CJK, the same for the same seed.

const NOUNS: [&str; 12] = [
    "harbour", "lantern", "keeper", "signal", "tide", "provider", "channel", "letter", "engine", "window",
    "bridge", "map",
];
const VERBS: [&str; 8] =
    ["answers", "waits for", "follows", "carries", "covers", "watches", "repairs", "remembers"];
const CJK: [&str; 4] = [
    "灯台は夜通し光ります。",
    "海は静かで、船は進みます。",
    "一个提供者失败时，另一个会回答。",
    "등대는 밤새 빛납니다.",
];
const CODE: [(&str, &str); 4] = [
    ("rust", "fn main() {\n    let name = \"Ana\";\n    println!(\"Hello, {name}.\");\n}"),
    ("python", "def hello(name: str) -> str:\n    # says who is meant\n    return f\"Hello, {name}.\""),
    ("sh", "curl -s http://127.0.0.1:9464/readyz\necho \"exit code: $?\""),
    ("json", "{\n  \"name\": \"alpha\",\n  \"model\": \"small\"\n}"),
];

/// About so many characters of Markdown; every fence is closed, and every block has its number.
pub(crate) fn lorem(size: usize, seed: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(seed.wrapping_add(size as u64));
    let mut text = String::new();
    let mut length = 0;
    for number in 1.. {
        let block = block(number, &mut rng);
        let longer = length + block.chars().count() + 2;
        // The block that comes closer to the size is the last one.
        if number > 1 && longer > size && longer - size > size.saturating_sub(length) {
            break;
        }
        if number > 1 {
            text.push_str("\n\n");
        }
        text.push_str(&block);
        length = longer;
        if length >= size {
            break;
        }
    }
    text
}

fn block(number: usize, rng: &mut fastrand::Rng) -> String {
    match number % 5 {
        1 => format!("## Part {number}\n\n{}", paragraph(number, rng)),
        2 => {
            let (language, code) = CODE[rng.usize(0..CODE.len())];
            format!(
                "Step {number} in `{language}`:\n\n```{language}\n{code}\n// end of listing {number}\n```"
            )
        }
        3 => (1..=rng.usize(3..6))
            .map(|item| format!("{item}. {number}.{item}: {}", sentence(rng)))
            .collect::<Vec<_>>()
            .join("\n"),
        4 => format!("{number}. {}", CJK[rng.usize(0..CJK.len())].repeat(rng.usize(2..6))),
        _ => paragraph(number, rng),
    }
}

fn paragraph(number: usize, rng: &mut fastrand::Rng) -> String {
    let sentences: Vec<_> = (0..rng.usize(3..7)).map(|_| sentence(rng)).collect();
    format!("({number}) {}", sentences.join(" "))
}

fn sentence(rng: &mut fastrand::Rng) -> String {
    let noun = |rng: &mut fastrand::Rng| NOUNS[rng.usize(0..NOUNS.len())];
    let verb = VERBS[rng.usize(0..VERBS.len())];
    let (who, what) = (noun(rng), noun(rng));
    match rng.u8(0..3) {
        0 => format!("The {who} {verb} the *{what}*."),
        1 => format!("**Every** {who} {verb} a {what}, and nobody minds."),
        _ => format!("A {who} {verb} the `{what}`."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_the_size_and_closes_its_fences() {
        for size in [1, 500, 2_000, 6_000, 20_000] {
            for seed in 0..20 {
                let text = lorem(size, seed);
                assert_eq!(text, lorem(size, seed));
                assert_eq!(text.matches("```").count() % 2, 0);
                assert!(
                    size < 1_000 || text.chars().count().abs_diff(size) < 400,
                    "{size} {}",
                    text.chars().count()
                );
            }
        }
    }
}
