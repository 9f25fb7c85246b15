// An attacker with an RDMA device, as a process of its own: commands on standard input, one line each, and one line of answer.
//
//   open REGION-BYTES RECEIVES             ok ENDPOINT
//   connect ENDPOINT NOT-READY-TIMER       ok
//   post OPERATION ADDRESS KEY IMMEDIATE COUNT BYTES [OTHER-BYTES]    ok and the device's word
//   receive COUNT                          ok
//   own OFFSET COUNT                       ok BYTES     of the memory that the victim writes
//   packet INTERFACE BYTES COUNT           ok           a whole Ethernet frame, whatever it says
//   close                                  ok
//
// Bytes are hexadecimal, `-` is none; an error is `error` and the reason.
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "queue_pair.h"

namespace {

using attacker::QueuePair;
using Bytes = std::vector<uint8_t>;

const std::map<std::string, ibv_wr_opcode> kOperations = {
    {"write", IBV_WR_RDMA_WRITE},         {"write-immediate", IBV_WR_RDMA_WRITE_WITH_IMM},
    {"send", IBV_WR_SEND},                {"invalidate", IBV_WR_SEND_WITH_INV},
    {"read", IBV_WR_RDMA_READ},           {"add", IBV_WR_ATOMIC_FETCH_AND_ADD},
};

template <typename T>
T Word(std::istream& line) {
  T value{};
  if (!(line >> value)) throw std::runtime_error("a word is missing");
  return value;
}

Bytes HexWord(std::istream& line) {
  const auto text = Word<std::string>(line);
  Bytes bytes;
  if (text == "-") return bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

std::string Hex(const uint8_t* bytes, size_t count) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < count; i++) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

std::string Post(QueuePair& pair, std::istream& line) {
  const auto operation = kOperations.at(Word<std::string>(line));
  const auto address = Word<uint64_t>(line);
  const auto key = Word<uint32_t>(line);
  const auto immediate = Word<uint32_t>(line);
  const auto count = Word<uint32_t>(line);
  const Bytes bytes = HexWord(line);
  Bytes others;
  if (line >> std::ws && !line.eof()) others = HexWord(line);
  return " " + pair.Post({operation, address, key, immediate}, bytes, others, count);
}

void SendFrame(std::istream& line) {
  const auto interface = Word<std::string>(line);
  const Bytes frame = HexWord(line);
  const auto count = Word<uint32_t>(line);
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
  const int fd = socket(AF_PACKET, SOCK_RAW, 0);
  bool sent = fd >= 0 && to.sll_ifindex > 0;
  for (uint32_t i = 0; sent && i < count; i++) {
    const auto* address = reinterpret_cast<const sockaddr*>(&to);
    sent = sendto(fd, frame.data(), frame.size(), 0, address, sizeof to) == static_cast<ssize_t>(frame.size());
  }
  const int error = errno;
  if (fd >= 0) close(fd);
  if (!sent) throw std::runtime_error(interface + ": " + std::strerror(error));
}

std::string Obey(std::unique_ptr<QueuePair>& pair, const std::string& command, std::istream& line) {
  if (command == "packet") return SendFrame(line), "";
  if (command == "close") return pair.reset(), "";
  if (command == "open") {
    const auto regionBytes = Word<size_t>(line);
    pair = std::make_unique<QueuePair>(regionBytes, Word<uint32_t>(line));
    const Bytes endpoint = attacker::Encode(pair->endpoint());
    return " " + Hex(endpoint.data(), endpoint.size());
  }
  if (!pair) throw std::runtime_error("open comes first");
  if (command == "post") return Post(*pair, line);
  if (command == "receive") return pair->Receive(Word<uint32_t>(line)), "";
  if (command == "connect") {
    const attacker::Endpoint peer = attacker::Decode(HexWord(line));
    return pair->Connect(peer, static_cast<uint8_t>(Word<uint32_t>(line))), "";
  }
  if (command == "own") {
    const auto offset = Word<size_t>(line);
    const auto count = Word<size_t>(line);
    if (offset + count > pair->region().size()) throw std::runtime_error("beyond the region");
    return " " + Hex(pair->region().data() + offset, count);
  }
  throw std::runtime_error("unknown command " + command);
}

}  // namespace

int main() {
  std::unique_ptr<QueuePair> pair;
  for (std::string text; std::getline(std::cin, text);) {
    std::istringstream line(text);
    try {
      const auto command = Word<std::string>(line);
      const std::string answer = Obey(pair, command, line);
      std::cout << "ok" << answer << std::endl;
    } catch (const std::exception& error) {
      std::cout << "error " << error.what() << std::endl;
    }
  }
}
