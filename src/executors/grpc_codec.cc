// JSON <-> protobuf
//
// libprotobuf's own converter (util/json_util.h) over types that are known only at run time. It works on
// streams, so that a request never becomes a tree of messages. For an answer whose unset fields are to be shown
// it does make a tree; so the answer is measured first (Measure), and refused before it can grow out of
// proportion.
//
// libprotobuf stops the program on what it takes for its own mistakes, unless it is built to throw, as Debian's
// is. Whatever is thrown ends here as an error.

#include "executors/grpc_codec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <exception>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <vector>

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/empty.pb.h>
#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver_util.h>
#include <google/protobuf/wire_format_lite.h>
#include <google/protobuf/wrappers.pb.h>

namespace pb = google::protobuf;
using pb::internal::WireFormatLite;

namespace {

const char kUrlPrefix[] = "type.googleapis.com";

void Say(char fault[GRPC_FAULT_MAX], const std::string &text) {
        size_t n = text.size() < GRPC_FAULT_MAX - 1 ? text.size() : GRPC_FAULT_MAX - 1;
        while (n < text.size() && n > 0 && (text[n] & 0xc0) == 0x80) // not in the middle of a character
                n--;
        for (size_t i = 0; i < n; i++) // names in descriptors may hold anything
                fault[i] = static_cast<unsigned char>(text[i]) < ' ' ? '?' : text[i];
        fault[n] = '\0';
}

// Runs `work`, which gives 0 or a negative error, and makes an error of everything that is thrown.
template <typename Work> int Guarded(char fault[GRPC_FAULT_MAX], Work work) {
        fault[0] = '\0';
        try {
                pb::LogSilencer silence;
                return work();
        } catch (const std::bad_alloc &) {
                return -ENOMEM;
        } catch (const std::length_error &) {
                return -ENOMEM;
        } catch (const std::exception &e) {
                Say(fault, e.what());
        } catch (...) {
                Say(fault, "libprotobuf gave up");
        }
        return -EINVAL;
}

// ---- descriptors ------------------------------------------------------------------------------------------

// The first faults of a file, as one sentence.
class Faults : public pb::DescriptorPool::ErrorCollector {
      public:
        void AddError(const std::string &file, const std::string &element, const pb::Message *, ErrorLocation,
                      const std::string &message) override {
                if (count_++ < 3)
                        text_ += (text_.empty() ? "" : "; ") + file + ": " + element + ": " + message;
        }
        const std::string &text() const { return text_; }

      private:
        std::string text_;
        int count_ = 0;
};

// What makes a set costly to compile, counted before that is done.
struct Cost {
        size_t n_names = 0;
        bool has_many_ranges = false; // in one type; libprotobuf compares each with each other one
};

void Count(const pb::EnumDescriptorProto &e, Cost *cost) {
        cost->n_names +=
                        1 + static_cast<size_t>(e.value_size()) + static_cast<size_t>(e.reserved_name_size());
        cost->has_many_ranges |= e.reserved_range_size() > GRPC_RANGES_MAX;
}

void Count(const pb::DescriptorProto &type, Cost *cost) { // recursion: as deep as libprotobuf parsed, 100
        cost->n_names += 1 + static_cast<size_t>(type.field_size()) +
                         static_cast<size_t>(type.extension_size()) +
                         static_cast<size_t>(type.oneof_decl_size()) +
                         static_cast<size_t>(type.reserved_name_size());
        cost->has_many_ranges |= type.extension_range_size() > GRPC_RANGES_MAX ||
                                 type.reserved_range_size() > GRPC_RANGES_MAX;
        for (const auto &e : type.enum_type())
                Count(e, cost);
        for (const auto &nested : type.nested_type())
                Count(nested, cost);
}

void Count(const pb::FileDescriptorProto &file, Cost *cost) {
        cost->n_names += 1 + static_cast<size_t>(file.dependency_size()) +
                         static_cast<size_t>(file.extension_size());
        for (const auto &e : file.enum_type())
                Count(e, cost);
        for (const auto &type : file.message_type())
                Count(type, cost);
        for (const auto &service : file.service())
                cost->n_names += 1 + static_cast<size_t>(service.method_size());
}

// The files that libprotobuf brings along, for sets that were made without their imports.
void AddWellKnown(std::map<std::string, pb::FileDescriptorProto> *files) {
        const pb::Descriptor *const types[] = {
                        pb::Any::descriptor(),       pb::Duration::descriptor(),
                        pb::Empty::descriptor(),     pb::FieldMask::descriptor(),
                        pb::Struct::descriptor(),    pb::Timestamp::descriptor(),
                        pb::BoolValue::descriptor(), pb::FileDescriptorProto::descriptor()};
        for (const pb::Descriptor *type : types)
                if (files->find(type->file()->name()) == files->end())
                        type->file()->CopyTo(&(*files)[type->file()->name()]);
}

} // namespace

struct GrpcCodec {
        pb::DescriptorPool pool;
        std::unique_ptr<pb::util::TypeResolver> resolver;
        std::vector<const pb::ServiceDescriptor *> services;

        int Build(const char *bytes, size_t n, char *fault);
        int BuildFile(const std::map<std::string, pb::FileDescriptorProto> &files, const std::string &name,
                      char *fault);
        int Find(const char *service, const char *method, char *fault, GrpcMissing *ret_missing,
                 const pb::MethodDescriptor **ret);
        int Measure(const pb::Descriptor *type, pb::io::CodedInputStream *in, int depth, long *budget);
        int MeasureField(const pb::FieldDescriptor *field, uint32_t tag, pb::io::CodedInputStream *in,
                         int depth, long *budget);
        int MeasureAny(pb::io::CodedInputStream *in, int depth, long *budget);
        int Decode(const pb::Descriptor *type, const char *message, size_t n, size_t max, std::string *ret,
                   char *fault);
};

// Files that others import come first: from `name` down, without recursion.
int GrpcCodec::BuildFile(const std::map<std::string, pb::FileDescriptorProto> &files, const std::string &name,
                         char *fault) {
        std::vector<std::pair<const pb::FileDescriptorProto *, int>> stack;
        std::set<std::string> open;
        stack.emplace_back(&files.at(name), 0);
        open.insert(name);
        while (!stack.empty()) {
                const pb::FileDescriptorProto *file = stack.back().first;
                if (stack.back().second < file->dependency_size()) {
                        const std::string &import = file->dependency(stack.back().second++);
                        if (pool.FindFileByName(import))
                                continue;
                        auto found = files.find(import);
                        if (found == files.end()) {
                                Say(fault, file->name() + " imports " + import +
                                                           ", which is not in the set: make it with `protoc "
                                                           "--include_imports`");
                                return -EINVAL;
                        }
                        if (!open.insert(import).second) {
                                Say(fault, file->name() + " and " + import + " import each other");
                                return -EINVAL;
                        }
                        stack.emplace_back(&found->second, 0);
                        continue;
                }
                Faults faults;
                const pb::FileDescriptor *built = pool.BuildFileCollectingErrors(*file, &faults);
                if (!built) {
                        Say(fault, faults.text());
                        return -EINVAL;
                }
                for (int i = 0; i < built->service_count(); i++)
                        services.push_back(built->service(i));
                open.erase(file->name());
                stack.pop_back();
        }
        return 0;
}

int GrpcCodec::Build(const char *bytes, size_t n, char *fault) {
        pb::FileDescriptorSet set;
        std::map<std::string, pb::FileDescriptorProto> files;
        if (!set.ParseFromArray(bytes, static_cast<int>(n)) || set.file_size() == 0) {
                Say(fault, "is no FileDescriptorSet (`protoc --include_imports --descriptor_set_out=FILE` "
                           "makes one)");
                return -EINVAL;
        }
        Cost cost;
        for (const auto &file : set.file())
                Count(file, &cost);
        if (cost.n_names > GRPC_NAMES_MAX) {
                Say(fault, "has " + std::to_string(cost.n_names) +
                                           " types, fields, values and methods; at most " +
                                           std::to_string(GRPC_NAMES_MAX) +
                                           " are allowed (GRPC_NAMES_MAX): leave out what the service does "
                                           "not need");
                return -EINVAL;
        }
        if (cost.has_many_ranges) {
                Say(fault, "has a type with more than " + std::to_string(GRPC_RANGES_MAX) +
                                           " extension or reserved ranges (GRPC_RANGES_MAX)");
                return -EINVAL;
        }
        for (auto &file : *set.mutable_file()) {
                file.clear_source_code_info();
                const std::string name = file.name();
                if (!files.emplace(name, std::move(file)).second) {
                        Say(fault, "has two files called " + name);
                        return -EINVAL;
                }
        }
        std::vector<std::string> names;
        for (const auto &file : files)
                names.push_back(file.first);
        AddWellKnown(&files);
        for (const std::string &name : names) {
                int r = pool.FindFileByName(name) ? 0 : BuildFile(files, name, fault);
                if (r < 0)
                        return r;
        }
        resolver.reset(pb::util::NewTypeResolverForDescriptorPool(kUrlPrefix, &pool));
        return 0;
}

int GrpcCodec::Find(const char *service, const char *method, char *fault, GrpcMissing *ret_missing,
                    const pb::MethodDescriptor **ret) {
        const pb::ServiceDescriptor *s = pool.FindServiceByName(service);
        if (!s) {
                std::string names;
                for (const pb::ServiceDescriptor *other : services)
                        if (names.size() < 200)
                                names += (names.empty() ? "" : ", ") + other->full_name();
                *ret_missing = GRPC_MISSING_SERVICE;
                Say(fault, names.empty() ? "the descriptor set has no services"
                                         : "the descriptor set has no such service; it has " + names);
                return -EINVAL;
        }
        const pb::MethodDescriptor *m = method ? s->FindMethodByName(method) : nullptr;
        if (method && !m) {
                std::string names;
                for (int i = 0; i < s->method_count() && names.size() < 200; i++)
                        names += (names.empty() ? "" : ", ") + s->method(i)->name();
                *ret_missing = GRPC_MISSING_METHOD;
                Say(fault,
                    s->full_name() + " has no such method" + (names.empty() ? "" : "; it has " + names));
                return -EINVAL;
        }
        if (m && (m->client_streaming() || m->server_streaming())) {
                *ret_missing = GRPC_NOT_UNARY;
                Say(fault, m->full_name() + " is a stream; a step makes unary calls only");
                return -EINVAL;
        }
        *ret = m;
        return 0;
}

// ---- how much an answer is -----------------------------------------------------------------------------------

int GrpcCodec::MeasureAny(pb::io::CodedInputStream *in, int depth, long *budget) {
        std::string url, value;
        for (uint32_t tag; (tag = in->ReadTag()) != 0;) {
                bool is_bytes = WireFormatLite::GetTagWireType(tag) ==
                                WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
                int number = WireFormatLite::GetTagFieldNumber(tag);
                bool good = is_bytes && number == 1   ? WireFormatLite::ReadString(in, &url)
                            : is_bytes && number == 2 ? WireFormatLite::ReadBytes(in, &value)
                                                      : WireFormatLite::SkipField(in, tag);
                if (!good)
                        return -EINVAL;
        }
        size_t slash = url.rfind('/');
        const pb::Descriptor *type = slash == std::string::npos
                                                     ? nullptr
                                                     : pool.FindMessageTypeByName(url.substr(slash + 1));
        if (!type)
                return 0; // the converter will say so
        pb::io::CodedInputStream inner(reinterpret_cast<const uint8_t *>(value.data()),
                                       static_cast<int>(value.size()));
        return Measure(type, &inner, depth + 1, budget);
}

// The least that one of a packed field's numbers takes.
static uint32_t PackedBytes(const pb::FieldDescriptor *field) {
        switch (WireFormatLite::WireTypeForFieldType(static_cast<WireFormatLite::FieldType>(field->type()))) {
        case WireFormatLite::WIRETYPE_FIXED32:
                return 4;
        case WireFormatLite::WIRETYPE_FIXED64:
                return 8;
        default:
                return 1;
        }
}

// Go through @n bytes of packed values. The converter reads a value that does not end again and again, for ever.
static bool SkipPacked(const pb::FieldDescriptor *field, pb::io::CodedInputStream *in, uint32_t n) {
        uint32_t size = static_cast<uint32_t>(PackedBytes(field));
        if (size > 1)
                return n % size == 0 && in->Skip(static_cast<int>(n));
        auto limit = in->PushLimit(static_cast<int>(n));
        bool good = true;
        for (uint64_t value; good && in->BytesUntilLimit() > 0;)
                good = in->ReadVarint64(&value);
        in->PopLimit(limit);
        return good;
}

int GrpcCodec::MeasureField(const pb::FieldDescriptor *field, uint32_t tag, pb::io::CodedInputStream *in,
                            int depth, long *budget) {
        if (field && field->type() == pb::FieldDescriptor::TYPE_GROUP)
                return -EINVAL;
        if (!field || WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED)
                return WireFormatLite::SkipField(in, tag) ? 0 : -EINVAL;
        uint32_t n;
        // A limit beyond the end is none to the stream: what is cut off would pass for whole.
        if (!in->ReadVarint32(&n) || n > INT32_MAX || static_cast<int>(n) > in->BytesUntilLimit())
                return -EINVAL;
        if (field->message_type()) {
                auto limit = in->PushLimit(static_cast<int>(n));
                int r = Measure(field->message_type(), in, depth + 1, budget);
                in->PopLimit(limit);
                return r;
        }
        if (field->is_packable() && field->is_repeated()) {
                *budget -= static_cast<long>(n / PackedBytes(field));
                return *budget < 0 ? -EFBIG : SkipPacked(field, in, n) ? 0 : -EINVAL;
        }
        // The converter would leave out what is not UTF-8.
        const void *text;
        int n_left;
        if (field->type() == pb::FieldDescriptor::TYPE_STRING && n > 0 &&
            (!in->GetDirectBufferPointer(&text, &n_left) || static_cast<uint32_t>(n_left) < n ||
             !WireFormatLite::VerifyUtf8String(static_cast<const char *>(text), static_cast<int>(n),
                                               WireFormatLite::PARSE, nullptr)))
                return -EINVAL;
        return in->Skip(static_cast<int>(n)) ? 0 : -EINVAL;
}

// 0; -EINVAL: malformed, or nested too deeply; -EFBIG: `budget` is used up. Recursion: GRPC_DEPTH_MAX.
int GrpcCodec::Measure(const pb::Descriptor *type, pb::io::CodedInputStream *in, int depth, long *budget) {
        if (depth > GRPC_DEPTH_MAX)
                return -EINVAL;
        *budget -= type->field_count() + 1;
        if (type->full_name() == "google.protobuf.Any")
                return MeasureAny(in, depth, budget);
        for (uint32_t tag; (tag = in->ReadTag()) != 0;) {
                if (WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_END_GROUP)
                        return -EINVAL;
                int r = MeasureField(type->FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag)), tag, in,
                                     depth, budget);
                if (r < 0)
                        return r;
                if (--*budget < 0)
                        return -EFBIG;
        }
        if (*budget < 0)
                return -EFBIG;
        return in->ConsumedEntireMessage() ? 0 : -EINVAL;
}

// ---- conversions ----------------------------------------------------------------------------------------------

namespace {

std::string UrlOf(const pb::Descriptor *type) { return std::string(kUrlPrefix) + "/" + type->full_name(); }

// Text that grows up to a limit. Past it the rest of the conversion goes nowhere; nothing is thrown, because
// libprotobuf writes from destructors, too.
class Bounded : public pb::io::ZeroCopyOutputStream {
      public:
        Bounded(std::string *text, size_t max) : text_(text), max_(max) {}
        bool Next(void **data, int *size) override {
                size_t had = text_->size(), n = had < 512 ? 512 : had;
                n = n < max_ - had ? n : max_ - had;
                if (n == 0) {
                        is_full_ = true;
                        return false;
                }
                text_->resize(had + n);
                *data = &(*text_)[had];
                *size = static_cast<int>(n);
                return true;
        }
        void BackUp(int count) override { text_->resize(text_->size() - static_cast<size_t>(count)); }
        int64_t ByteCount() const override { return static_cast<int64_t>(text_->size()); }
        bool is_full() const { return is_full_; }

      private:
        std::string *text_;
        size_t max_;
        bool is_full_ = false;
};

const pb::MethodDescriptor *DescriptorOf(const GrpcMethod *method) {
        return reinterpret_cast<const pb::MethodDescriptor *>(method);
}

} // namespace

int GrpcCodec::Decode(const pb::Descriptor *type, const char *message, size_t n, size_t max, std::string *ret,
                      char *fault) {
        long budget = GRPC_FIELDS_MAX;
        pb::io::CodedInputStream measured(reinterpret_cast<const uint8_t *>(message), static_cast<int>(n));
        int r = Measure(type, &measured, 0, &budget);
        if (r < 0) {
                Say(fault, r == -EFBIG ? "the message has more than " + std::to_string(GRPC_FIELDS_MAX) +
                                                           " fields, unset ones included (GRPC_FIELDS_MAX)"
                                       : "the message is not a " + type->full_name() +
                                                           ", holds a group or text "
                                                           "that is not UTF-8, or is nested deeper than " +
                                                           std::to_string(GRPC_DEPTH_MAX) + " levels");
                return r;
        }
        pb::util::JsonPrintOptions options;
        options.always_print_primitive_fields = true;
        pb::io::ArrayInputStream in(message, static_cast<int>(n));
        Bounded out(ret, max);
        auto status = pb::util::BinaryToJsonStream(resolver.get(), UrlOf(type), &in, &out, options);
        if (out.is_full()) {
                Say(fault, "the message has more than " + std::to_string(max) + " bytes as JSON");
                return -EFBIG;
        }
        if (status.ok())
                return 0;
        Say(fault, "the message can't be shown as JSON: " + std::string(status.message()));
        return -EINVAL;
}

extern "C" {

int grpc_codec_new(const char *set, size_t n, char fault[GRPC_FAULT_MAX], GrpcCodec **ret) {
        return Guarded(fault, [&] {
                std::unique_ptr<GrpcCodec> codec(new GrpcCodec);
                int r = codec->Build(set, n, fault);
                if (r == 0)
                        *ret = codec.release();
                return r;
        });
}

void grpc_codec_free(GrpcCodec *codec) { delete codec; }

int grpc_codec_find(GrpcCodec *codec, const char *service, const char *method, char fault[GRPC_FAULT_MAX],
                    GrpcMissing *ret_missing, const GrpcMethod **ret) {
        return Guarded(fault, [&] {
                const pb::MethodDescriptor *found = nullptr;
                int r = codec->Find(service, method, fault, ret_missing, &found);
                *ret = reinterpret_cast<const GrpcMethod *>(found);
                return r;
        });
}

int grpc_codec_encode(GrpcCodec *codec, const GrpcMethod *method, const char *json, size_t n, GrpcPut *put,
                      void *userdata, char fault[GRPC_FAULT_MAX]) {
        return Guarded(fault, [&] {
                std::string bytes;
                const pb::Descriptor *type = DescriptorOf(method)->input_type();
                auto status = pb::util::JsonToBinaryString(codec->resolver.get(), UrlOf(type),
                                                           pb::StringPiece(json, n), &bytes);
                if (!status.ok()) {
                        Say(fault, "is not a " + type->full_name() + ": " + std::string(status.message()));
                        return -EINVAL;
                }
                put(userdata, bytes.data(), bytes.size());
                return 0;
        });
}

int grpc_codec_decode(GrpcCodec *codec, const GrpcMethod *method, const char *message, size_t n, size_t max,
                      GrpcPut *put, void *userdata, char fault[GRPC_FAULT_MAX]) {
        return Guarded(fault, [&] {
                std::string text;
                int r = codec->Decode(DescriptorOf(method)->output_type(), message, n, max, &text, fault);
                if (r == 0)
                        put(userdata, text.data(), text.size());
                return r;
        });
}

int grpc_codec_decode_type(GrpcCodec *codec, const char *type, const char *message, size_t n, size_t max,
                           GrpcPut *put, void *userdata, char fault[GRPC_FAULT_MAX]) {
        return Guarded(fault, [&] {
                std::string text;
                const pb::Descriptor *found = codec->pool.FindMessageTypeByName(type);
                if (!found) {
                        Say(fault, "the descriptor set has no such type");
                        return -EINVAL;
                }
                int r = codec->Decode(found, message, n, max, &text, fault);
                if (r == 0)
                        put(userdata, text.data(), text.size());
                return r;
        });
}

} // extern "C"
