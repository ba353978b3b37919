//! What texts cost, beside what tokenizers were measured to count; and that nothing but the oldest is left out.

use super::*;
use crate::message::Image;
use proptest::prelude::*;
use std::sync::Arc;

/// Texts of many sorts, and the larger count of OpenAI's tokenizers `cl100k_base` and `o200k_base` for each (npm's
/// `gpt-tokenizer` 3, 2026-11).
const MEASURED: &[(&str, u32)] = &[
    (
        "The tide is the rise and fall of the sea. It is caused by the pull of the moon and the sun, and by the turning of the earth; twice a day the water comes in, and twice it goes out again.",
        47,
    ),
    (
        "Antidisestablishmentarianism notwithstanding, the otorhinolaryngologist's phosphorescent kaleidoscope bewildered Mississippi's quixotic zoologists.",
        33,
    ),
    (
        "fn main() {\n    let mut crabs: Vec<&str> = vec![\"ferris\"];\n    for crab in &mut crabs {\n        println!(\"{crab:?} -> {}\", crab.len() * 2);\n    }\n}\n",
        50,
    ),
    ("{\"id\":\"41771983423143937\",\"ok\":true,\"list\":[1,2.50,-3e10],\"name\":\"a_b-c\"}", 32),
    (
        "2026-11-23T02:38:07.123Z ERROR 0x7ffdeadbeef0 thread 'main' panicked at src/main.rs:42:17: index out of bounds",
        44,
    ),
    (
        "Donaudampfschifffahrtsgesellschaftskapitänsmütze und Straßenbahnhaltestellenüberdachung, schön wärs.",
        38,
    ),
    ("Été comme hiver, la marée monte et descend deux fois par jour; c'est l'œuvre de la lune.", 30),
    ("Zażółć gęślą jaźń, pchnąć w tę łódź jeża lub ośm skrzyń fig.", 35),
    ("Thủy triều lên xuống hai lần mỗi ngày do lực hấp dẫn của mặt trăng.", 34),
    ("Gelgit, ayın çekim gücü yüzünden günde iki kez olur; çünkü şöyle işler.", 34),
    ("Прилив и отлив вызваны притяжением луны и солнца; вода приходит дважды в день.", 38),
    ("Η παλίρροια προκαλείται από τη σελήνη και τον ήλιο, δύο φορές την ημέρα.", 62),
    ("المد والجزر يحدثان بسبب جاذبية القمر والشمس مرتين في اليوم.", 42),
    ("הגאות והשפל נגרמים מכוח המשיכה של הירח והשמש פעמיים ביום.", 56),
    ("ज्वार भाटा चंद्रमा और सूर्य के गुरुत्वाकर्षण के कारण होता है।", 61),
    ("น้ำขึ้นน้ำลงเกิดจากแรงดึงดูดของดวงจันทร์และดวงอาทิตย์", 54),
    ("அலைகள் நிலவின் ஈர்ப்பு விசையால் உண்டாகின்றன.", 59),
    ("მოქცევა გამოწვეულია მთვარის მიზიდულობით.", 76),
    ("Մակընթացությունը լուսնի ձգողության հետևանք է։", 86),
    ("ማዕበል በጨረቃ ስበት ምክንያት ይከሰታል።", 65),
    ("潮汐是由月球和太阳的引力引起的，海水每天涨落两次。请用一句话解释给孩子听。", 45),
    ("潮の満ち引きは月と太陽の引力によって起こります。お誕生日おめでとう", 36),
    ("조수는 달과 태양의 인력 때문에 하루에 두 번 일어납니다. 설명해 주세요.", 34),
    ("👍🎉🦀🧑\u{200d}🚀👨\u{200d}👩\u{200d}👧\u{200d}👦🏳\u{fe0f}\u{200d}🌈❤\u{fe0f}🔥🇩🇪🥺🫠", 62),
    (
        "Z\u{337}\u{322}\u{31b}\u{354}\u{356}a\u{335}\u{327}\u{31b}\u{353}l\u{334}\u{328}\u{31b}g\u{336}\u{321}\u{31b}o\u{337}\u{322}\u{315} ṫ\u{335}ḛ\u{338}x\u{337}\u{330}t\u{336}\u{324}",
        61,
    ),
    ("H0D8ktokFpR1CXnubPWC8tXX0o4YM13gWrxU0FYOD1MChgxlK/CNVgJSql50IQVG82n7u86MEs/HlXsmUv6adQ==", 61),
    (
        "acc28db2beb7b42baa1cb0243d401ccb4e3fce44d7b02879a52799aadff541522d8822598b2fa664f9d5156c00c924805d75c3868bd56c2acb81d37e98e35adc",
        71,
    ),
    ("31415926535897932384626433832795028841971693993751", 17),
    ("WHY IS EVERYBODY SHOUTING AT ME THIS IS RATHER UNPLEASANT TO READ XKCD QWRTZ", 26),
    ("asdfjkl qwrtpsdg zxcvb hjklm vbnmrt wqsdfg plmkjh", 25),
    ("∑_{i=0}^{n} xᵢ² ≤ ∫₀¹ ƒ(x)dx ≈ 3.14 ± 0.01 → ∞ ∀ε>0 ∃δ", 47),
    ("| a | b |\n|---|---|\n| 1 | 22 |\n| ✅ | ❌ |\n", 24),
    ("┌───┬───┐\n│ a │ b │\n└───┴───┘\n████▓▓▒▒░░", 39),
    (
        "https://cdn.discordapp.com/attachments/417719/4217719/IMG_20261123.png?ex=67a1b2c3&is=67a06143&hm=9f86d081884c7d65",
        53,
    ),
    ("a          b\n\n\n\n\t\t\tc\r\n    d", 9),
    ("ok lol 😂😂 das wär 草 www хаха ㅋㅋㅋㅋ", 26),
    ("aaaaaaaaaaaaaaaaaaaaaaaaa!!!!!!!!!!!!!!!????????", 9),
    ("𝓗𝓮𝓵𝓵𝓸 𝕨𝕠𝕣𝕝𝕕 ｆｕｌｌ ⓦⓘⓓⓔ", 50),
];

#[test]
fn no_text_is_reckoned_below_what_was_measured() {
    for (text, measured) in MEASURED {
        let reckoned = tokens(text);
        assert!(reckoned >= *measured, "{reckoned} < {measured}: {text}");
        assert!(reckoned <= 4 * measured + 4, "{reckoned} is far above {measured}: {text}");
    }
}

fn line(text: &str) -> Line {
    Line { role: Role::User, speaker: Some("Ana".to_owned()), text: text.to_owned() }
}

fn prompt(texts: &[String], pictures: usize) -> Prompt {
    let image = Image { media_type: "image/png".to_owned(), base64: Arc::from("") };
    let mut lines = vec![line("What the place is about.")];
    lines.extend(texts.iter().map(|it| line(it)));
    lines.push(line("the question"));
    Prompt {
        system: "Be kind.".to_owned(),
        loose: 1..lines.len() - 1,
        lines,
        reply_tokens: 100,
        images: vec![image; pictures],
        ..Prompt::default()
    }
}

proptest! {
    #[test]
    fn what_is_sent_fits_and_has_the_question_and_its_order(
        texts in prop::collection::vec("[a-z \\n]{0,80}|\\PC{0,40}", 0..12),
        window in 0_u32..4000,
        pictures in 0_usize..3,
    ) {
        let whole = prompt(&texts, pictures);
        let Some(left_out) = Measured::new(&whole).left_out(window, whole.reply_tokens) else {
            let bare = prompt(&[], pictures);
            let needs = Measured::new(&bare).fixed + u32::try_from(pictures).unwrap() * PICTURE;
            prop_assert!(needs > window - 100.min(window / 2));
            return Ok(());
        };
        let sent = without(&whole, left_out);
        let pictures = u32::try_from(pictures).unwrap() * PICTURE;
        let total: u32 = tokens(&sent.system) + sent.lines.iter().map(cost).sum::<u32>() + pictures;
        prop_assert!(total + 100.min(window / 2) <= window);
        prop_assert_eq!(sent.lines.first(), whole.lines.first(), "the opening stays");
        let newest = &whole.lines[1 + left_out..];
        prop_assert_eq!(&sent.lines[1..], newest, "the oldest went, and nothing else");
        prop_assert_eq!(sent.lines.last().map(|it| it.text.as_str()), Some("the question"));
        if left_out > 0 {
            let next = cost(&whole.lines[left_out]);
            prop_assert!(total + next + 100.min(window / 2) > window, "no more than needed went");
        }
        prop_assert_eq!(sent.loose.clone(), 1..sent.lines.len() - 1);
    }

    #[test]
    fn a_longer_text_never_costs_less(text in "\\PC{0,60}", more in "\\PC{0,20}") {
        let both = format!("{text} {more}");
        prop_assert!(tokens(&both) + 1 >= tokens(&text));
    }
}

#[test]
fn a_window_that_is_hardly_wider_than_an_answer_takes_a_short_question() {
    let measured = Measured::new(&prompt(&[], 0));
    assert_eq!(measured.left_out(120, 4096), Some(0));
    assert_eq!(measured.left_out(10, 4096), None);
    assert_eq!(measured.left_out(0, 0), None);
}
