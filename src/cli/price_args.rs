//! What a core-hour and a GiB-hour cost.

use crate::report::weekly::Prices;

/// Prices.
#[derive(clap::Args, Clone, Debug)]
pub struct PriceArgs {
    /// Price of one core for one hour; the default is a round figure, not a provider's price
    #[arg(long, value_name = "MONEY", default_value_t = Prices::default().core_hour, value_parser = price, help_heading = "Prices")]
    price_core_hour: f64,
    /// Price of one GiB of memory for one hour; the default is a round figure, not a provider's price
    #[arg(long, value_name = "MONEY", default_value_t = Prices::default().gib_hour, value_parser = price, help_heading = "Prices")]
    price_gib_hour: f64,
    /// Currency of the prices, as a three-letter code
    #[arg(long, value_name = "CODE", default_value = "USD", value_parser = currency, help_heading = "Prices")]
    currency: String,
}

impl PriceArgs {
    /// As reports have them.
    pub fn prices(&self) -> Prices {
        Prices { core_hour: self.price_core_hour, gib_hour: self.price_gib_hour, currency: self.currency.clone() }
    }
}

fn price(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(price) if (0.0..=1_000_000.0).contains(&price) => Ok(price),
        _ => Err("a price from 0 to 1000000, such as 0.03".to_owned()),
    }
}

fn currency(text: &str) -> Result<String, String> {
    if text.len() == 3 && text.bytes().all(|b| b.is_ascii_alphabetic()) {
        Ok(text.to_ascii_uppercase())
    } else {
        Err("a currency code of three letters, such as EUR".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0.03", true)]
    #[case("0", true)]
    #[case("-1", false)]
    #[case("NaN", false)]
    #[case("inf", false)]
    fn prices_are_numbers(#[case] text: &str, #[case] fine: bool) {
        assert_eq!(price(text).is_ok(), fine);
    }
}
