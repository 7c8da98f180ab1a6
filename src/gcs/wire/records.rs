//! TLS records, opened where they were read.
//!
//! The handshake, its checks and all keys are rustls's, and so are sealing and opening: this file only finds the records
//! in a buffer that holds many of them, has each opened in place and passes its content on without a copy.
//! Follows <https://www.rfc-editor.org/rfc/rfc8446#section-5>; TLS 1.2 has the same outer form.

use std::fmt;
use std::io;

use bytes::{Buf, Bytes, BytesMut};
use rustls::client::ClientConnectionData;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, Iv, MessageDecrypter, MessageEncrypter, OutboundChunks, OutboundPlainMessage,
};
use rustls::kernel::KernelConnection;
use rustls::{
    ConnectionTrafficSecrets, ContentType, ExtractedSecrets, HandshakeType, ProtocolVersion, SupportedCipherSuite,
};

const HEADER: usize = 5;
/// Content of one record.
const LONGEST_CONTENT: usize = 16 * 1024;
/// A record with what TLS 1.2 may add to it.
const LONGEST_RECORD: usize = LONGEST_CONTENT + 2048;
/// Messages of the handshake after it: tickets are some hundred bytes.
const LONGEST_MESSAGE: usize = 16 * 1024;
/// Records without content that are borne in a row.
const LONGEST_SILENCE: u32 = 64;
/// AES-GCM is good for 2^24 records under one key; each of ours is a request.
pub(super) const MOST_SEALED: u64 = 1 << 20;
const CLOSE_NOTIFY: u8 = 0;

/// Both directions of a connection after its handshake.
pub(super) struct Records {
    kernel: KernelConnection<ClientConnectionData>,
    opener: Box<dyn MessageDecrypter>,
    opened: u64,
    sealer: Box<dyn MessageEncrypter>,
    sealed: u64,
    /// The part of a handshake message that came.
    message: Vec<u8>,
    /// What must be sent before anything else.
    reply: Vec<u8>,
    silence: u32,
    over: bool,
}

/// What a buffer holds.
#[derive(Debug)]
pub(super) enum Step {
    /// Content of one record.
    Data(Bytes),
    /// A record's beginning at most; so many bytes are missing.
    Needs(usize),
    /// The peer said that it sends no more.
    Over,
}

impl Records {
    /// Goes on from a handshake.
    pub(super) fn new(
        secrets: ExtractedSecrets,
        kernel: KernelConnection<ClientConnectionData>,
    ) -> Result<Self, rustls::Error> {
        let suite = kernel.negotiated_cipher_suite();
        Ok(Self {
            opener: opener(suite, secrets.rx.1)?,
            opened: secrets.rx.0,
            sealer: sealer(suite, secrets.tx.1)?,
            sealed: secrets.tx.0,
            kernel,
            message: Vec::new(),
            reply: Vec::new(),
            silence: 0,
            over: false,
        })
    }

    /// Takes the next record with content out of `buffer`.
    pub(super) fn next(&mut self, buffer: &mut BytesMut) -> io::Result<Step> {
        loop {
            if self.over {
                return Ok(Step::Over);
            }
            let Some((kind, length)) = header(buffer)? else { return Ok(Step::Needs(HEADER)) };
            if buffer.len() < HEADER + length {
                return Ok(Step::Needs(HEADER + length - buffer.len()));
            }
            let mut record = buffer.split_to(HEADER + length);
            record.advance(HEADER);
            if let Some(content) = self.open(kind, record)? {
                self.silence = 0;
                return Ok(Step::Data(content));
            }
            self.silence += 1;
            if self.silence > LONGEST_SILENCE {
                return Err(invalid("too many TLS records without content"));
            }
        }
    }

    /// The records that carry `bytes`.
    pub(super) fn seal(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut sealed = std::mem::take(&mut self.reply);
        for content in bytes.chunks(LONGEST_CONTENT) {
            sealed.extend_from_slice(&self.seal_one(ContentType::ApplicationData, content)?);
        }
        Ok(sealed)
    }

    /// Whether the keys are good for further requests.
    pub(super) fn is_fresh(&self) -> bool {
        self.sealed < MOST_SEALED
    }

    fn seal_one(&mut self, typ: ContentType, content: &[u8]) -> io::Result<Vec<u8>> {
        let message =
            OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload: OutboundChunks::Single(content) };
        let record = self.sealer.encrypt(message, self.sealed).map_err(io::Error::other)?;
        self.sealed += 1;
        Ok(record.encode())
    }

    /// Opens a record; its content, if it has any for the application.
    fn open(&mut self, kind: ContentType, mut record: BytesMut) -> io::Result<Option<Bytes>> {
        let beginning = record.as_ptr().addr();
        let opaque = InboundOpaqueMessage::new(kind, ProtocolVersion::TLSv1_2, &mut record);
        let plain = self.opener.decrypt(opaque, self.opened).map_err(io::Error::other)?;
        self.opened += 1;
        let (typ, length) = (plain.typ, plain.payload.len());
        // TLS 1.2 has a nonce in front of the content.
        let offset = plain.payload.as_ptr().addr().saturating_sub(beginning);
        if offset + length > record.len() {
            return Err(invalid("a TLS record was not opened in place"));
        }
        record.truncate(offset + length);
        record.advance(offset);
        match typ {
            ContentType::ApplicationData if record.is_empty() => Ok(None),
            ContentType::ApplicationData => Ok(Some(record.freeze())),
            ContentType::Handshake => self.converse(&record).map(|()| None),
            ContentType::Alert if record.get(1) == Some(&CLOSE_NOTIFY) => {
                self.over = true;
                Ok(None)
            }
            ContentType::Alert => Err(invalid("the peer ended TLS with an alert")),
            _ => Err(invalid("a TLS record of an unexpected type")),
        }
    }

    /// Messages of the handshake after it: session tickets and new keys.
    fn converse(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.message.extend_from_slice(bytes);
        while let [kind, a, b, c, rest @ ..] = self.message.as_slice() {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            if length > LONGEST_MESSAGE {
                return Err(invalid("a TLS message is too long"));
            }
            let Some(body) = rest.get(..length) else { break };
            let (kind, body) = (HandshakeType::from(*kind), body.to_vec());
            self.message.drain(..4 + length);
            self.take(kind, &body)?;
        }
        Ok(())
    }

    fn take(&mut self, kind: HandshakeType, body: &[u8]) -> io::Result<()> {
        match (kind, body) {
            (HandshakeType::NewSessionTicket, ticket) => {
                self.kernel.handle_new_session_ticket(ticket).map_err(io::Error::other)
            }
            (HandshakeType::KeyUpdate, [wanted @ (0 | 1)]) if self.message.is_empty() => self.renew(*wanted == 1),
            _ => Err(invalid("an unexpected TLS message")),
        }
    }

    /// New keys: <https://www.rfc-editor.org/rfc/rfc8446#section-4.6.3>.
    fn renew(&mut self, ours_too: bool) -> io::Result<()> {
        let suite = self.kernel.negotiated_cipher_suite();
        let (opened, secrets) = self.kernel.update_rx_secret().map_err(io::Error::other)?;
        (self.opened, self.opener) = (opened, opener(suite, secrets).map_err(io::Error::other)?);
        if ours_too && self.reply.is_empty() {
            let update = [u8::from(HandshakeType::KeyUpdate), 0, 0, 1, 0];
            self.reply = self.seal_one(ContentType::Handshake, &update)?;
            let (sealed, secrets) = self.kernel.update_tx_secret().map_err(io::Error::other)?;
            (self.sealed, self.sealer) = (sealed, sealer(suite, secrets).map_err(io::Error::other)?);
        }
        Ok(())
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("opened", &self.opened).field("sealed", &self.sealed).finish_non_exhaustive()
    }
}

/// A record's type and length.
fn header(buffer: &[u8]) -> io::Result<Option<(ContentType, usize)>> {
    let Some(&[kind, major, _, high, low]) = buffer.first_chunk::<HEADER>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if major != 3 || length == 0 || length > LONGEST_RECORD {
        return Err(invalid("no TLS record"));
    }
    Ok(Some((ContentType::from(kind), length)))
}

fn opener(
    suite: SupportedCipherSuite,
    secrets: ConnectionTrafficSecrets,
) -> Result<Box<dyn MessageDecrypter>, rustls::Error> {
    let (key, iv) = keys(secrets)?;
    Ok(match suite {
        SupportedCipherSuite::Tls13(suite) => suite.aead_alg.decrypter(key, iv),
        SupportedCipherSuite::Tls12(suite) => {
            let fixed = suite.aead_alg.key_block_shape().fixed_iv_len.min(iv.as_ref().len());
            suite.aead_alg.decrypter(key, &iv.as_ref()[..fixed])
        }
    })
}

fn sealer(
    suite: SupportedCipherSuite,
    secrets: ConnectionTrafficSecrets,
) -> Result<Box<dyn MessageEncrypter>, rustls::Error> {
    let (key, iv) = keys(secrets)?;
    Ok(match suite {
        SupportedCipherSuite::Tls13(suite) => suite.aead_alg.encrypter(key, iv),
        SupportedCipherSuite::Tls12(suite) => {
            let fixed = suite.aead_alg.key_block_shape().fixed_iv_len.min(iv.as_ref().len());
            let (fixed, explicit) = iv.as_ref().split_at(fixed);
            suite.aead_alg.encrypter(key, fixed, explicit)
        }
    })
}

fn keys(secrets: ConnectionTrafficSecrets) -> Result<(AeadKey, Iv), rustls::Error> {
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => Ok((key, iv)),
        _ => Err(rustls::Error::General("a cipher suite that is not known here".to_owned())),
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
