"""The messages' classes, made from descriptors in a pool of their own. _pool.pyi says what the generated types are made of."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_pool = descriptor_pool.DescriptorPool()
_known = set()


def _class_of(descriptor):
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(_pool).GetPrototype(descriptor)  # protobuf before 4.22


def define(module, package, names, descriptors):
    """Puts the messages of these names, and the values of the enums, into a module."""
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptors).file:
        if file.name not in _known:
            _pool.AddSerializedFile(file.SerializeToString())
            _known.add(file.name)
    exported = {}
    for name in names:
        try:
            exported[name] = _class_of(_pool.FindMessageTypeByName(f"{package}.{name}"))
        except KeyError:
            exported.update((value.name, value.number) for value in _pool.FindEnumTypeByName(f"{package}.{name}").values)
    module.update(exported, __all__=list(exported))
