//! A shop whose items are files in a folder.

wit_bindgen::generate!({ path: "wit", world: "shop", generate_all });

use std::{cell::Cell, fs};

use exports::acme::{
    greet1_0_0::greeter as first,
    greet2_0_0::greeter as second,
    shop::catalog::{self, Added, CounterBorrow, Item, Trouble},
};

struct Shop;
export!(Shop);

const FOLDER: &str = "/shop";

impl catalog::Guest for Shop {
    type Counter = Counter;

    fn echo(item: Item) -> Item {
        item
    }

    fn add(name: String, price: i64) -> Result<Added, Trouble> {
        if price < 0 {
            return Err(Trouble::Full);
        }
        let id = u32::try_from(name.len()).unwrap_or(0);
        let file = format!("{FOLDER}/{id}");
        if fs::exists(&file).unwrap_or(false) {
            return Err(Trouble::Taken(name));
        }
        fs::write(file, &name).map_err(|_| Trouble::Full)?;
        Ok(Added { id, name })
    }

    fn remove(id: u32) -> Result<(), String> {
        fs::remove_file(format!("{FOLDER}/{id}")).map_err(|error| error.to_string())
    }

    fn stock() -> Vec<String> {
        let entries = fs::read_dir(FOLDER).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    fn divide(by: f64) -> f64 {
        1.0 / by
    }

    fn count(counter: CounterBorrow<'_>) -> u32 {
        counter.get::<Counter>().0.get()
    }
}

struct Counter(Cell<u32>);

impl catalog::GuestCounter for Counter {
    fn new(first: u32) -> Self {
        Self(Cell::new(first))
    }

    fn next(&self) -> u32 {
        self.0.replace(self.0.get() + 1)
    }
}

impl first::Guest for Shop {
    fn greet(name: String) -> String {
        format!("Hello, {name}!")
    }
}

impl second::Guest for Shop {
    fn greet(names: Vec<String>) -> Result<String, ()> {
        if names.is_empty() { Err(()) } else { Ok(format!("Hello, {}!", names.join(" and "))) }
    }
}

impl Guest for Shop {
    fn text_length(text: String, unit: Option<String>) -> u32 {
        let length = if unit.as_deref() == Some("bytes") { text.len() } else { text.chars().count() };
        u32::try_from(length).unwrap_or(u32::MAX)
    }

    fn nothing() {}

    fn panic(why: char) {
        panic!("because of {why}");
    }
}
