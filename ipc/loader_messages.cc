// The messages of clients that load modules.
#include <string>

#include "ipc/wire.h"

namespace holdfast::ipc {

tl::expected<SourceReply, ProtocolViolation> read_source(wire::Source::Reader from) {
  SourceReply reply;
  reply.id = from.getId();
  switch (from.which()) {
    case wire::Source::CODE:
      reply.outcome = SourceCode{view(from.getCode().getText()), view(from.getCode().getFileName())};
      return reply;
    case wire::Source::NOT_FOUND:
      reply.outcome = SourceNotFound{};
      return reply;
    case wire::Source::FAILED:
      reply.outcome = SourceFailed{view(from.getFailed())};
      return reply;
  }
  return tl::unexpected(ProtocolViolation{"a source of an unknown kind"});
}

tl::expected<LoaderRegistered, ProtocolViolation> read_loader_registered(wire::LoaderRegistered::Reader from) {
  LoaderRegistered registered;
  registered.id = from.getId();
  switch (from.which()) {
    case wire::LoaderRegistered::OK:
      return registered;
    case wire::LoaderRegistered::ERROR: {
      auto error = read_error(from.getError());
      if (!error) return tl::unexpected(error.error());
      registered.error = std::move(*error);
      return registered;
    }
  }
  return tl::unexpected(ProtocolViolation{"a registration of an unknown kind"});
}

tl::expected<SourceWanted, ProtocolViolation> read_source_wanted(wire::SourceWanted::Reader from) {
  for (const auto part : {view(from.getModule()), view(from.getVersion())}) {
    if (auto problem = name_problem(part, "a part of its name")) {
      return tl::unexpected(ProtocolViolation{"a module with an invalid name is wanted: " + *problem});
    }
  }
  return SourceWanted{from.getId(), {std::string(view(from.getModule())), std::string(view(from.getVersion()))}};
}

void encode(OutputBuffer& out, const RegisterLoaderRequest& request) {
  write_message<wire::ClientMessage>(out, 0, [&](auto root) {
    auto to = root.initRegisterLoader();
    to.setId(request.id);
    to.setTimeoutNanos(as_nanos(request.timeout));
  });
}

void encode(OutputBuffer& out, const SourceReply& source) {
  std::size_t words = 0;
  if (const auto* code = std::get_if<SourceCode>(&source.outcome)) {
    words = words_for(code->text.size()) + words_for(code->file_name.size());
  } else if (const auto* failed = std::get_if<SourceFailed>(&source.outcome)) {
    words = words_for(failed->reason.size());
  }
  write_message<wire::ClientMessage>(out, words, [&](auto root) {
    auto to = root.initSource();
    to.setId(source.id);
    if (const auto* code = std::get_if<SourceCode>(&source.outcome)) {
      to.initCode().setText(to_data(code->text));
      set_text(code->file_name, [&](unsigned size) { return to.getCode().initFileName(size); });
    } else if (const auto* failed = std::get_if<SourceFailed>(&source.outcome)) {
      set_text(failed->reason, [&](unsigned size) { return to.initFailed(size); });
    } else {
      to.setNotFound();
    }
  });
}

void encode(OutputBuffer& out, const LoaderRegistered& registered) {
  const std::size_t words = registered.error ? words_for(*registered.error) : 0;
  write_message<wire::ServerMessage>(out, words, [&](auto root) {
    auto to = root.initLoaderRegistered();
    to.setId(registered.id);
    if (registered.error) {
      write_error(to.initError(), *registered.error);
    } else {
      to.setOk();
    }
  });
}

void encode(OutputBuffer& out, const SourceWanted& wanted) {
  const std::size_t words = words_for(wanted.name.module.size()) + words_for(wanted.name.version.size());
  write_message<wire::ServerMessage>(out, words, [&](auto root) {
    auto to = root.initSourceWanted();
    to.setId(wanted.id);
    set_text(wanted.name.module, [&](unsigned size) { return to.initModule(size); });
    set_text(wanted.name.version, [&](unsigned size) { return to.initVersion(size); });
  });
}

}  // namespace holdfast::ipc
