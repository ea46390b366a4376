#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| (bennu_fuzz::target("parcel").run)(data));
