// A program that knows nothing of the bench: I2C, SPI, GPIO and a tty from Rust, with libc inside.
use std::fs::OpenOptions;
use std::io::{Read, Write, BufRead, BufReader};
use std::os::unix::io::AsRawFd;
use std::os::raw::{c_int, c_ulong, c_void};
extern "C" { fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int; }
#[repr(C)] struct Transfer { tx: u64, rx: u64, len: u32, speed: u32, delay: u16, bits: u8, change: u8, txn: u8, rxn: u8, word: u8, pad: u8 }
fn open(path: &str) -> std::fs::File { OpenOptions::new().read(true).write(true).open(path).expect(path) }
fn main() {
    let mut i2c = open("/dev/i2c-1");
    unsafe { ioctl(i2c.as_raw_fd(), 0x0703, 0x48 as c_ulong) };
    i2c.write_all(&[0x0f]).unwrap();
    let mut id = [0u8; 2];
    i2c.read_exact(&mut id).unwrap();
    println!("i2c {:02x}{:02x}", id[0], id[1]);
    let spi = open("/dev/spidev0.0");
    let (tx, mut rx) = ([0x9fu8, 0, 0, 0], [0u8; 4]);
    let one = Transfer { tx: tx.as_ptr() as u64, rx: rx.as_mut_ptr() as u64, len: 4, speed: 0, delay: 0, bits: 0, change: 0, txn: 0, rxn: 0, word: 0, pad: 0 };
    let n = unsafe { ioctl(spi.as_raw_fd(), 0x40206b00, &one as *const Transfer as *const c_void) };
    println!("spi {} {:02x}{:02x}{:02x}", n, rx[1], rx[2], rx[3]);
    let chip = open("/dev/gpiochip0");
    let mut info = [0u8; 68];
    unsafe { ioctl(chip.as_raw_fd(), 0x8044b401, info.as_mut_ptr()) };
    println!("gpio {}", u32::from_ne_bytes([info[64], info[65], info[66], info[67]]));
    let mut tty = BufReader::new(open("/dev/ttyAMA1"));
    let mut line = Vec::new();
    while !line.starts_with(b"$GN") { line.clear(); tty.read_until(b'\n', &mut line).unwrap(); }
    println!("tty {}", String::from_utf8_lossy(&line[..3]));
}
