//! Which tools fit a query best: BM25 over what a tool says of itself, and names before all else. Pure, and the same for the
//! same tools in whatever order they come.

use std::collections::HashMap;

use super::words::{split, stem};

/// What a tool says of itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Said<'a> {
    /// As its callers know it.
    pub(super) name: &'a str,
    /// As its skill calls it.
    pub(super) own: &'a str,
    pub(super) title: &'a str,
    pub(super) description: &'a str,
    /// Names of parameters, and what is said of them.
    pub(super) parameters: Vec<&'a str>,
}

/// How much a word counts in the name, title, description and parameters.
const WEIGHTS: [f32; FIELDS] = [4.0, 2.5, 1.0, 0.6];
/// How much a long field takes from that.
const LENGTH: [f32; FIELDS] = [0.3, 0.5, 0.75, 0.75];
const FIELDS: usize = 4;
/// How soon a word that stands there more often counts no more.
const K1: f32 = 1.2;
/// What a word that begins with the one that is looked for counts, and one that is nearly it.
const BEGINS: f32 = 0.5;
const NEARLY: f32 = 0.4;
/// Words of one field that count, and of a query.
const WORDS: usize = 2_000;
const ASKED: usize = 32;

/// Tools, ready to be searched.
pub(super) struct Index {
    /// By name.
    tools: Vec<Names>,
    /// In order.
    words: Vec<Word>,
}

struct Names {
    name: String,
    /// In small words, with `_` between them.
    full: String,
    own: String,
}

struct Word {
    text: String,
    /// Whether a tool has it in its name: those may be written wrongly.
    in_name: bool,
    /// Tools that have it, and what it counts there.
    tools: Vec<(u32, f32)>,
}

/// How a tool's name fits. In this order they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It is what was asked for.
    Name,
    /// Its skill calls it that.
    Own,
    /// It begins with it.
    Beginning,
    /// Its words count.
    Words,
}

impl Index {
    pub(super) fn of<'a>(said: impl IntoIterator<Item = Said<'a>>) -> Self {
        let mut said: Vec<_> = said.into_iter().collect();
        said.sort_by(|a, b| a.name.cmp(b.name));
        let mut found: HashMap<String, Vec<(u32, [u16; FIELDS])>> = HashMap::new();
        let mut lengths: Vec<[f32; FIELDS]> = Vec::with_capacity(said.len());
        for (tool, said) in (0_u32..).zip(&said) {
            let mut counts: HashMap<String, [u16; FIELDS]> = HashMap::new();
            let mut length = [0.0; FIELDS];
            let fields: [&[&str]; FIELDS] =
                [&[said.name], &[said.title], &[said.description], &said.parameters];
            for (field, texts) in fields.iter().enumerate() {
                for word in texts.iter().flat_map(|text| split(text)).take(WORDS) {
                    length[field] += 1.0;
                    let count = &mut counts.entry(stem(word)).or_default()[field];
                    *count = count.saturating_add(1);
                }
            }
            lengths.push(length);
            for (word, count) in counts {
                found.entry(word).or_default().push((tool, count));
            }
        }
        let all = said.len().max(1) as f32;
        let mean = |field: usize| (lengths.iter().map(|length| length[field]).sum::<f32>() / all).max(1.0);
        let means: [f32; FIELDS] = std::array::from_fn(mean);
        let mut words: Vec<_> = found
            .into_iter()
            .map(|(text, tools)| {
                let having = tools.len() as f32;
                let rare = (1.0 + (all - having + 0.5) / (having + 0.5)).ln();
                let in_name = tools.iter().any(|(_, counts)| counts[0] > 0);
                let counts = |(tool, counts): (u32, [u16; FIELDS])| {
                    let parts = (0..FIELDS).map(|field| {
                        let long = lengths[tool as usize][field] / means[field];
                        WEIGHTS[field] * f32::from(counts[field])
                            / (1.0 - LENGTH[field] + LENGTH[field] * long)
                    });
                    let often: f32 = parts.sum();
                    (tool, rare * often * (K1 + 1.0) / (K1 + often))
                };
                Word { text, in_name, tools: tools.into_iter().map(counts).collect() }
            })
            .collect();
        words.sort_by(|a, b| a.text.cmp(&b.text));
        let names = |said: Said<'_>| Names {
            name: said.name.to_owned(),
            full: split(said.name).join("_"),
            own: split(said.own).join("_"),
        };
        Self { tools: said.into_iter().map(names).collect(), words }
    }

    /// Names of the tools that fit, best first; of those that fit alike, the first by name. All of them, by name, when nothing
    /// is asked for.
    pub(super) fn search(&self, query: &str) -> Vec<&str> {
        if query.trim().is_empty() {
            return self.tools.iter().map(|tool| &*tool.name).collect();
        }
        let asked = split(query);
        let joined = asked.join("_");
        let mut words: Vec<_> = asked.into_iter().map(stem).collect();
        words.sort_unstable();
        words.dedup();
        words.truncate(ASKED);
        let mut totals = vec![(0.0_f32, 0_u32); self.tools.len()];
        let mut best = vec![0.0_f32; self.tools.len()];
        for word in &words {
            for (at, share) in self.like(word) {
                for (tool, counts) in &self.words[at].tools {
                    let best = &mut best[*tool as usize];
                    *best = best.max(share * counts);
                }
            }
            for (total, best) in totals.iter_mut().zip(&mut best).filter(|(_, best)| **best > 0.0) {
                *total = (total.0 + *best, total.1 + 1);
                *best = 0.0;
            }
        }
        let mut fitting: Vec<(Fit, f32, &str)> = vec![];
        for (tool, (total, had)) in self.tools.iter().zip(totals) {
            let fit = tool.fit(&joined);
            if had > 0 || fit != Fit::Words {
                // Of several words, tools that have more of them come first.
                fitting.push((fit, total * had as f32 / words.len().max(1) as f32, &tool.name));
            }
        }
        fitting.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(b.2)));
        fitting.into_iter().map(|(_, _, name)| name).collect()
    }

    /// Words that are as good as this one, and how good.
    fn like(&self, word: &str) -> Vec<(usize, f32)> {
        let from = self.words.partition_point(|known| known.text.as_str() < word);
        // Short ones begin too much.
        let long = word.chars().count() >= 3;
        let beginning = self.words[from..].iter().take_while(|known| known.text.starts_with(word));
        let mut found: Vec<_> = (from..)
            .zip(beginning)
            .map(|(at, known)| (at, if known.text == word { 1.0 } else { BEGINS }))
            .filter(|(_, share)| long || *share == 1.0)
            .collect();
        if found.is_empty() {
            let near =
                self.words.iter().enumerate().filter(|(_, known)| known.in_name && nearly(&known.text, word));
            found.extend(near.map(|(at, _)| (at, NEARLY)));
        }
        found
    }
}

impl Names {
    fn fit(&self, asked: &str) -> Fit {
        match () {
            () if asked.is_empty() => Fit::Words,
            () if self.full == asked => Fit::Name,
            () if self.own == asked => Fit::Own,
            () if asked.len() > 1 && (self.full.starts_with(asked) || self.own.starts_with(asked)) => {
                Fit::Beginning
            }
            () => Fit::Words,
        }
    }
}

/// Whether one is the other with a letter wrong, missing, too many, or in the place of its neighbour; two in long words. The
/// first is seldom wrong, and sorts out most.
fn nearly(known: &str, asked: &str) -> bool {
    let slips = match asked.len() {
        0..4 => return false,
        4..8 => 1,
        _ => 2,
    };
    known.as_bytes().first() == asked.as_bytes().first()
        && known.len().abs_diff(asked.len()) <= slips
        && asked.len() <= 64
        && strsim::osa_distance(known, asked) <= slips
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tool<'a>(name: &'a str, description: &'a str) -> Said<'a> {
        Said { name, own: name.split_once('_').map_or(name, |(_, own)| own), description, ..Said::default() }
    }

    fn index() -> Index {
        let mut weather = tool("geo_forecast", "Tells the weather of the coming days.");
        weather.title = "Weather forecast";
        weather.parameters = vec!["city", "Name of the town", "days"];
        Index::of([
            tool("text_word_count", "Counts words, lines and characters of a text."),
            tool("text_diff", "Compares two texts line by line."),
            tool("files_readFile", "Reads a file."),
            tool("files_write", "Writes text into a file, and counts the bytes."),
            tool("mail_send", "Sends a message to somebody. Count on it."),
            weather,
        ])
    }

    #[test]
    fn names_come_before_all_else() {
        let index = index();
        assert_eq!(index.search("text_diff")[0], "text_diff");
        assert_eq!(index.search("Text Diff")[0], "text_diff");
        assert_eq!(index.search("diff")[0], "text_diff");
        assert_eq!(index.search("word_c")[0], "text_word_count");
        assert_eq!(index.search("files_"), ["files_readFile", "files_write"]);
        assert_eq!(index.search("read file")[0], "files_readFile");
        // Though its own name is in the words of many others.
        let clash = Index::of([tool("a_b_c", "x"), tool("b_c", "x"), tool("x_b", "b_c b_c b_c")]);
        assert_eq!(clash.search("b_c"), ["b_c", "a_b_c", "x_b"]);
    }

    #[test]
    fn words_count_by_where_they_stand_and_how_rare_they_are() {
        let index = index();
        assert_eq!(index.search("count")[0], "text_word_count");
        assert_eq!(index.search("count words in some text")[0], "text_word_count");
        assert_eq!(index.search("weather"), ["geo_forecast"]);
        assert_eq!(index.search("which town")[0], "geo_forecast", "said of a parameter");
        assert_eq!(index.search("send messages")[0], "mail_send");
        // One that has more of what was asked for, before one that has a rarer word of it in a better place.
        let zeta = Said { title: "zeta", ..tool("t_two", "") };
        let all = [tool("t_one", "alpha beta"), zeta, tool("t_three", "alpha"), tool("t_four", "beta")];
        assert_eq!(Index::of(all).search("alpha beta zeta")[..2], ["t_one", "t_two"]);
        assert!(index.search("quantum").is_empty() && index.search("***").is_empty());
    }

    #[test]
    fn slips_in_names_are_forgiven() {
        let index = index();
        for wrong in ["forcast", "froecast", "forecats", "foreccast"] {
            assert_eq!(index.search(wrong), ["geo_forecast"], "{wrong}");
        }
        assert!(index.search("wetaher").is_empty(), "only in names");
        assert!(index.search("dif").contains(&"text_diff") && index.search("dxf").is_empty(), "too short");
    }

    #[test]
    fn nothing_asked_lists_all_and_ties_go_by_name() {
        assert_eq!(index().search("  "), index().tools.iter().map(|tool| &*tool.name).collect::<Vec<_>>());
        let same = Index::of(["c_x", "a_x", "b_x"].map(|name| tool(name, "Does the same thing.")));
        assert_eq!(same.search("thing"), ["a_x", "b_x", "c_x"]);
        assert_eq!(same.search("x"), ["a_x", "b_x", "c_x"]);
        assert!(Index::of([]).search("x").is_empty());
    }

    proptest! {
        /// Whatever there is and whatever is asked: a tool is found first by its name, nothing comes twice, and the order that
        /// tools come in is of no matter.
        #[test]
        fn found_by_name_and_the_same_every_time(
            names in proptest::collection::btree_set("[a-c]{1,3}_[a-cA-C_]{1,6}", 1..12),
            query in "[a-c _A-C]{0,12}",
        ) {
            let said: Vec<_> = names.iter().map(|name| tool(name, name)).collect();
            let index = Index::of(said.iter().cloned());
            for name in &names {
                let found = index.search(name);
                let normal = |name: &str| split(name).join("_");
                prop_assert_eq!(normal(found[0]), normal(name));
            }
            let found = index.search(&query);
            let mut once: Vec<_> = found.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), found.len());
            let other = Index::of(said.into_iter().rev());
            prop_assert_eq!(found, other.search(&query));
        }
    }
}
