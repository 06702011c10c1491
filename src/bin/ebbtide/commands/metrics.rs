//! `ebbtide metrics`: numbers for monitors, once or over HTTP.

use ebbtide::SegmentOptions;

use crate::exit::{Code, Failure};
use crate::http;
use crate::output;
use crate::seeing_args::Metrics;

pub fn run(options: &SegmentOptions, args: &Metrics) -> Result<Code, Failure> {
    let page = || -> Result<String, Failure> {
        Ok(options.observe(&args.segment)?.metrics()?.to_string())
    };
    let Some(address) = args.listen else {
        output::emit(&page()?)?;
        return Ok(Code::Done);
    };
    if !address.ip().is_loopback() && !args.expose {
        let message = format!(
            "{address} can be reached from other hosts, and whoever asks gets an answer; \
             say --expose if that is meant, or listen at 127.0.0.1"
        );
        return Err(Failure::new(Code::Usage, message));
    }
    // Nothing to serve is told now, not at the first scrape.
    page()?;
    http::serve(address, &|| page().map_err(|failure| failure.message))?;
    Ok(Code::Done)
}
