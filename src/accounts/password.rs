//! Which passwords are good enough: long, not on the list of what everybody tries, and hard to guess by
//! zxcvbn's reckoning. No rules about kinds of characters.

use zxcvbn::Score;

use crate::input::Faults;

/// Fewest code points.
const MIN_CHARS: usize = 12;
/// How much of a password zxcvbn judges: what is hard to guess so far only gets harder, and the time it takes grows
/// with the square, and more for passwords made to that end.
const JUDGED_CHARS: usize = 40;
/// How much of an account's own e-mail and name is looked for in a password.
const OWN_CHARS: usize = 64;

/// What people type where a long password is asked for, and words of this product. A password made of these
/// alone, whatever is put between and behind them, is refused.
const COMMON: &[&str] = &[
    "password",
    "passwort",
    "passw0rd",
    "p4ssw0rd",
    "p@ssw0rd",
    "qwertyuiop",
    "qwerty",
    "asdfghjkl",
    "asdfgh",
    "zxcvbnm",
    "1q2w3e4r5t",
    "1q2w3e4r",
    "1qaz2wsx3edc",
    "1qaz2wsx",
    "abcdefghijkl",
    "abcdef",
    "letmein",
    "welcome",
    "iloveyou",
    "trustno1",
    "monkey",
    "dragon",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "batman",
    "master",
    "shadow",
    "administrator",
    "admin",
    "root",
    "login",
    "secret",
    "changeme",
    "default",
    "arsupervisor",
    "supervisor",
    "augmented",
    "reality",
    "decoration",
    "edgeserver",
];

/// Why a password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weakness {
    Short,
    Common,
    Guessable,
}

impl Weakness {
    fn code(self) -> &'static str {
        match self {
            Self::Short => "too_short",
            Self::Common => "too_common",
            Self::Guessable => "too_guessable",
        }
    }

    fn detail(self) -> &'static str {
        match self {
            Self::Short => "has fewer than 12 characters",
            Self::Common => "is made of words that everybody tries, or of the account's own name",
            Self::Guessable => "can be guessed: take more words, or less usual ones",
        }
    }

    /// Notes that a password is too weak.
    pub(super) fn note(self, faults: &mut Faults, field: &str) {
        faults.out_of_domain(field, self.code(), self.detail());
    }

    /// The stable names of these faults, and of the one of all texts that are too long.
    pub(super) const CODES: [&str; 4] = ["too_short", "too_long", "too_common", "too_guessable"];
}

/// Whether a password is too weak, and why; `own` are the account's e-mail and name, which others know. It takes
/// milliseconds, and longer for a password made to that end: for the hashing threads.
pub(super) fn weakness(password: &str, own: &[impl AsRef<str>]) -> Option<Weakness> {
    if let Some(short) = too_short(password) {
        return Some(short);
    }
    let own: Vec<String> = own.iter().map(|text| beginning(text.as_ref(), OWN_CHARS)).collect();
    // The parts of a name are as easy to guess as the whole.
    let own: Vec<&str> = own.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()).chain([text.as_str()])).collect();
    if made_of(password, &own) {
        return Some(Weakness::Common);
    }
    let others: Vec<&str> = own.iter().copied().filter(|part| part.len() > 2).chain(COMMON.iter().copied()).collect();
    let judged = zxcvbn::zxcvbn(&beginning(password, JUDGED_CHARS), &others);
    (judged.score() < Score::Three).then_some(Weakness::Guessable)
}

/// The one rule that costs nothing to check.
pub(super) fn too_short(password: &str) -> Option<Weakness> {
    (password.chars().count() < MIN_CHARS).then_some(Weakness::Short)
}

fn beginning(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// Whether nothing much is left of a password without common words, digits and signs.
fn made_of(password: &str, own: &[&str]) -> bool {
    let mut rest = password.to_lowercase();
    let mut words: Vec<String> = COMMON.iter().map(|word| (*word).to_owned()).collect();
    words.extend(own.iter().filter(|part| part.len() > 2).map(|part| part.to_lowercase()));
    // The longest first, so that no word is cut by one inside it.
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    for word in &words {
        rest = rest.replace(word.as_str(), "");
    }
    rest.chars().filter(|c| c.is_alphabetic()).count() < 4 && rest.chars().count() < 12
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("short", Some(Weakness::Short))]
    #[case("elevenchars", Some(Weakness::Short))]
    #[case("passwordpassword", Some(Weakness::Common))]
    #[case("Password1234!", Some(Weakness::Common))]
    #[case("ar-supervisor-2026", Some(Weakness::Common))]
    #[case("ada.lovelace1", Some(Weakness::Common))]
    #[case("Lovelace-1815", Some(Weakness::Common))]
    #[case("aaaaaaaaaaaaaaaa", Some(Weakness::Guessable))]
    #[case("123456789012", Some(Weakness::Guessable))]
    #[case("abcabcabcabcabc", Some(Weakness::Guessable))]
    #[case("correct horse battery staple wire", None)]
    #[case("Tr7kq-vw9Zp-m2", None)]
    #[case("желтый вагон под луной", None)]
    #[case("🐉🌋🛶🎷🪐🧵🦔🪲🎲🧭🪁🫖", None)]
    fn weak_passwords_are_told_why(#[case] password: &str, #[case] expected: Option<Weakness>) {
        assert_eq!(weakness(password, &["ada.lovelace@example.org", "Ada Lovelace"]), expected, "{password}");
    }

    const NOBODYS: &[&str] = &[];

    /// Every sign that stands for several letters: zxcvbn tries them all.
    #[test]
    fn a_password_made_to_be_judged_long_is_judged_all_the_same() {
        let signs: String = "4@8({[<3691!|70$5+%2".chars().cycle().take(128).collect();
        let name: String = "aB".chars().cycle().take(255).collect();
        for password in [signs.as_str(), &name[..120], "~"] {
            weakness(password, &[name.as_str()]);
        }
    }

    #[test]
    fn length_is_counted_in_code_points() {
        let long: String = "žluťoučký kůň úpěl ďábelské ódy ".chars().cycle().take(129).collect();
        assert_eq!(weakness(&long, NOBODYS), None);
        let short: String = long.chars().take(11).collect();
        assert_eq!(weakness(&short, NOBODYS), Some(Weakness::Short));
    }
}
