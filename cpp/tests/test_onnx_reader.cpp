#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "check.hpp"
#include "flopcore/error.hpp"
#include "flopcore/onnx_reader.hpp"

namespace {

using namespace flopcore;

std::string varint(std::uint64_t value) {
    std::string text;
    for (; value >= 0x80; value >>= 7) text.push_back(static_cast<char>((value & 0x7F) | 0x80));
    text.push_back(static_cast<char>(value));
    return text;
}
std::string number(std::uint32_t field, std::uint64_t value) {
    return varint(std::uint64_t{field} << 3) + varint(value);
}
std::string message(std::uint32_t field, const std::string& payload) {
    return varint((std::uint64_t{field} << 3) | 2U) + varint(payload.size()) + payload;
}

std::string node(const std::string& op, const std::string& more = "") { return message(4, op) + more; }
std::string graph(const std::string& more) { return message(2, "g") + more; }
std::string model(const std::string& graph_bytes) {
    return number(1, 8) + message(8, message(1, "") + number(2, 17)) + message(7, graph_bytes);
}

OnnxModel parse(const std::string& bytes) {
    return parse_onnx({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}
// The text of the error, or the empty text.
std::string complaint(const std::string& bytes) {
    try {
        static_cast<void>(parse(bytes));
    } catch (const DataError& error) {
        return error.what();
    }
    return "";
}
bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string int64_tensor(const std::string& name, std::uint64_t size, const std::string& data) {
    return number(1, size) + number(2, 7) + message(8, name) + data;
}

void reads_nodes_and_names() {
    const std::string conv = node("Conv", message(1, "x") + message(1, "w") + message(2, "y") + message(3, "c0") +
                                              message(5, message(1, "group") + number(3, 4) + number(20, 2)));
    const OnnxModel onnx = parse(model(graph(message(1, conv) + message(1, node("Relu", message(1, "y"))))));
    CHECK(onnx.ir_version == 8);
    CHECK(onnx.opsets.size() == 1 && onnx.opsets[0].version == 17);
    CHECK(onnx.main().nodes.size() == 2);
    const OnnxNode& first = onnx.main().nodes[0];
    CHECK(onnx.names[first.op_type] == "Conv" && onnx.names[first.name] == "c0");
    CHECK(first.inputs.size == 2 && first.outputs.size == 1);
    // Equal names have equal ids.
    CHECK(onnx.ids[first.outputs.begin] == onnx.ids[onnx.main().nodes[1].inputs.begin]);
    const OnnxAttribute& group = onnx.attributes[first.attributes.begin];
    CHECK(group.type == OnnxAttributeType::int_ && group.integer == 4);
}

void keeps_small_integer_tensors_from_each_encoding() {
    const std::string raw(std::string("\x02\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 16));
    for (const std::string& data : {message(9, raw), message(7, varint(2) + varint(~std::uint64_t{0})),
                                    number(7, 2) + number(7, ~std::uint64_t{0})}) {
        const OnnxModel onnx = parse(model(graph(message(5, int64_tensor("s", 2, data)))));
        const OnnxTensor& tensor = onnx.main().initializers[0];
        CHECK(tensor.has_values && tensor.values.size == 2);
        CHECK(onnx.integers[tensor.values.begin] == 2 && onnx.integers[tensor.values.begin + 1] == -1);
    }
    const std::string int32(std::string("\xfe\xff\xff\xff", 4));
    const OnnxModel onnx = parse(model(graph(message(5, number(2, 6) + message(9, int32)))));
    CHECK(onnx.integers[onnx.main().initializers[0].values.begin] == -2);
}

void skips_what_is_large_or_elsewhere() {
    const OnnxModel large = parse(model(graph(message(5, int64_tensor("s", 65, message(9, std::string(520, 1)))))));
    CHECK(!large.main().initializers[0].has_values);
    const OnnxModel external = parse(model(graph(message(5, int64_tensor("s", 2, number(14, 1))))));
    CHECK(external.main().initializers[0].external && !external.main().initializers[0].has_values);
}

void reads_shapes() {
    const std::string shape = message(1, number(1, 3)) + message(1, message(2, "unk__12")) + message(1, "");
    const std::string type = message(1, number(1, 1) + message(2, shape));
    const OnnxModel onnx = parse(model(graph(message(11, message(1, "x") + message(2, type)))));
    const OnnxValue& x = onnx.main().inputs[0];
    CHECK(x.kind == OnnxValueKind::tensor && x.has_shape && x.dims.size == 3 && x.dtype == 1);
    CHECK(onnx.dims[x.dims.begin].value == 3);
    CHECK(onnx.names[onnx.dims[x.dims.begin + 1].symbol] == "unk__12");
    CHECK(onnx.dims[x.dims.begin + 2].value == -1 && onnx.dims[x.dims.begin + 2].symbol == OnnxId{});
}

void keeps_bodies_before_the_main_graph() {
    const std::string body = graph(message(1, node("Relu")));
    const std::string branch = message(5, message(1, "then_branch") + message(6, body) + number(20, 5));
    const OnnxModel onnx = parse(model(graph(message(1, node("If", branch)))));
    CHECK(onnx.graphs.size() == 2);
    CHECK(onnx.names[onnx.main().nodes[0].op_type] == "If");
    const OnnxAttribute& attribute = onnx.attributes[onnx.main().nodes[0].attributes.begin];
    CHECK(onnx.names[onnx.graphs[attribute.index].nodes[0].op_type] == "Relu");
}

void says_what_is_wrong_and_where() {
    const std::string whole = model(graph(message(1, node("Relu", message(1, "x")))));
    CHECK(contains(complaint(whole.substr(0, whole.size() - 3)),
                   "truncated at byte " + std::to_string(whole.size() - 3)));
    CHECK(contains(complaint(whole.substr(0, whole.size() - 3)), "3 bytes early"));
    CHECK(contains(complaint(number(1, 8)), "without a graph"));
    CHECK(contains(complaint(message(7, graph(""))), "opset_import is missing"));
    CHECK(contains(complaint("{\"model_type\": 1}"), "not ONNX"));
    CHECK(contains(complaint("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"));
    CHECK(contains(complaint(""), "empty"));
    // A length that passes the end of its message is corrupt, not truncated.
    CHECK(contains(complaint(model(varint((1U << 3) | 2U) + varint(9))), "GraphProto.node: needs 9 bytes more"));
    CHECK(contains(complaint(model(graph(message(1, "")))), "NodeProto.op_type: is missing"));
    CHECK(contains(complaint(model(graph(message(1, node("\xff"))))), "not UTF-8"));
    CHECK(contains(complaint(model(graph(number(1, 5)))), "GraphProto.node: wire type 0"));
    CHECK(contains(complaint(model(graph(message(5, number(1, ~std::uint64_t{0}))))), "holds -1"));
    CHECK(contains(complaint(model(graph(message(5, int64_tensor("s", 2, message(9, "12345678")))))), "has 8 bytes"));
    const std::string minus = message(1, number(1, 1) + message(2, message(1, number(1, ~std::uint64_t{1}))));
    CHECK(contains(complaint(model(graph(message(11, message(1, "x") + message(2, minus))))), "dim_value: is -2"));
    CHECK(contains(complaint(model(graph("")) + message(7, graph(""))), "appears twice"));
    CHECK(contains(complaint(std::string("\x0b")), "wire type 3"));
    CHECK(contains(complaint(std::string(11, '\xff')), "more than 64 bits"));
}

void bounds_nesting() {
    std::string body = graph("");
    for (int i = 0; i < 40; ++i)
        body = graph(message(1, node("If", message(5, message(1, "b") + message(6, body) + number(20, 5)))));
    CHECK(contains(complaint(model(body)), "nested more than 32 deep"));
}

void interns_many_names() {
    OnnxNames names;
    for (int i = 0; i < 10000; ++i) CHECK(static_cast<int>(names.intern("n" + std::to_string(i))) == i + 1);
    for (int i = 0; i < 10000; ++i) CHECK(static_cast<int>(names.intern("n" + std::to_string(i))) == i + 1);
    CHECK(names[OnnxId{}].empty() && names[OnnxId{10000}] == "n9999");
}

void reads_a_sparse_file_of_gigabytes() {
    // The payload of the one tensor is a hole in the file: 8 GiB that no disk holds and nothing reads.
    const std::filesystem::path path =
        std::filesystem::temp_directory_path() / ("flopcore_test_onnx_" + std::to_string(::getpid()));
    constexpr std::uint64_t kSize = std::uint64_t{1} << 33;
    const std::string head =
        number(1, kSize / 4) + number(2, 1) + message(8, "w") + varint((9U << 3) | 2U) + varint(kSize);
    const std::string in_graph = varint((5U << 3) | 2U) + varint(head.size() + kSize) + head;
    const std::string start =
        message(8, number(2, 17)) + varint((7U << 3) | 2U) + varint(in_graph.size() + kSize) + in_graph;
    std::ofstream(path, std::ios::binary) << start;
    std::filesystem::resize_file(path, start.size() + kSize);
    const OnnxModel onnx = read_onnx(path.string());
    std::filesystem::remove(path);
    CHECK(onnx.names[onnx.main().initializers[0].name] == "w");
    CHECK(onnx.integers[onnx.main().initializers[0].dims.begin] == static_cast<std::int64_t>(kSize / 4));
}

void complains_about_paths() {
    CHECK_THROWS(DataError, read_onnx("/"));
    CHECK_THROWS(DataError, read_onnx("/no/such/file"));
    CHECK_THROWS(DataError, read_onnx("/dev/null"));
    CHECK_THROWS(DataError, read_onnx(std::string("a\0b", 3)));
}

}  // namespace

int main() {
    reads_nodes_and_names();
    keeps_small_integer_tensors_from_each_encoding();
    skips_what_is_large_or_elsewhere();
    reads_shapes();
    keeps_bodies_before_the_main_graph();
    says_what_is_wrong_and_where();
    bounds_nesting();
    interns_many_names();
    reads_a_sparse_file_of_gigabytes();
    complains_about_paths();
    return 0;
}
